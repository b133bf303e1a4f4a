//! What is unsafe about how a process listens.

use tandem_participant::Finding;

use crate::config::Listener;

/// What can be unsafe, though the configuration accepts it. Operators are shown it as long as it is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum OfListener {
    /// Other machines can reach it, and it has no TLS.
    Plaintext,
}

/// What is unsafe about listeners, each with its key in the configuration.
pub fn findings(listeners: &[(&str, &Listener)], has_tls: bool) -> Vec<Finding> {
    let exposed = listeners.iter().filter(|(_, at)| at.is_exposed(has_tls));
    let findings = exposed.map(|(key, at)| Finding {
        name: OfListener::Plaintext.as_ref().to_owned(),
        detail: format!(
            "{key} = {at} is plain text: whoever is on the way reads and changes what is said, tokens too. \
             Add [tls] and take plaintext = true away"
        ),
        accepted: true,
        told: false,
    });
    findings.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use strum::VariantArray;

    use super::*;
    use crate::config::Address;
    use crate::manual;

    #[test]
    fn manual_names_all_that_can_be_unsafe() {
        let section = manual::section("Findings");
        for finding in OfListener::VARIANTS {
            assert!(section.contains(finding.as_ref()), "{finding:?}");
        }
    }

    #[test]
    fn plain_text_is_found_where_others_can_reach_it() {
        let found = |address: &str, plaintext, has_tls| {
            let address = address.parse().unwrap();
            let mut at = Listener::new(Address::Tcp(address));
            at.plaintext = plaintext;
            findings(&[("listen", &at)], has_tls).len()
        };
        for (address, plaintext, has_tls, expected) in [
            ("127.0.0.1:1", true, false, 0),
            ("[::1]:1", false, false, 0),
            ("[::ffff:127.0.0.1]:1", true, true, 0),
            ("0.0.0.0:1", true, false, 1),
            ("10.0.0.5:1", true, true, 1),
            ("10.0.0.5:1", false, true, 0),
            ("[::]:1", true, false, 1),
        ] {
            assert_eq!(found(address, plaintext, has_tls), expected, "{address}");
        }
    }
}
