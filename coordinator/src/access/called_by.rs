//! Who made a call, for what is recorded of it.

use tonic::Request;

/// The longest name that is recorded, in characters.
const CHARS_MAX: usize = 100;

/// Among a call's extensions, who the gate found it to be by: `uid 1000`, `certificate ann.example`,
/// `token night`. Absent where nothing tells.
#[derive(Debug, Clone)]
pub struct CalledBy(pub String);

/// A call's person: what he calls himself, and by what he is known.
#[derive(Debug, Clone, Default)]
pub struct Signature(Option<String>);

impl Signature {
    /// Of a call.
    pub fn of<Q>(call: &Request<Q>) -> Signature {
        let by = call.extensions().get();
        Signature(by.map(|CalledBy(by)| by.chars().take(CHARS_MAX).collect()))
    }

    /// Gives somebody who did not say his name the one by which he is known.
    pub fn name(&self, operator: &mut String) {
        if let Some(by) = &self.0
            && operator.is_empty()
        {
            operator.clone_from(by);
        }
    }

    /// What is recorded of somebody who calls himself `operator`: `ann (uid 1000)`.
    pub fn sign(&self, operator: &str) -> String {
        match &self.0 {
            Some(by) if by != operator => format!("{operator} ({by})"),
            _ => operator.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_says_by_what_a_person_is_known() {
        let mut call = Request::new(());
        let nobody = Signature::of(&call);
        assert_eq!(nobody.sign("ann"), "ann");
        call.extensions_mut()
            .insert(CalledBy("uid 1000".to_owned()));
        let known = Signature::of(&call);
        assert_eq!(known.sign("ann"), "ann (uid 1000)");
        let mut operator = String::new();
        known.name(&mut operator);
        assert_eq!(known.sign(&operator), "uid 1000");
    }
}
