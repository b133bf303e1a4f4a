//! Words that a person reads, at the daemon's and at the operator's end.

/// A number of things: `1 purchase`, `2 purchases`.
pub(crate) fn count(number: usize, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(count(0, "purchase"), "0 purchases");
        assert_eq!(count(1, "failed call"), "1 failed call");
        assert_eq!(count(2, "purchase"), "2 purchases");
    }
}
