//! Who calls, as far as the connection tells.

use std::fmt;

use tokio_rustls::rustls::pki_types::CertificateDer;

/// One name by which a caller is known, `cert:NAME` or `uid:NUMBER` in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(try_from = "String")]
pub enum Who {
    /// The holder of a certificate with this DNS or URI name in its subjectAltName; what its subject says is
    /// no name (RFC 9525, 2).
    Certificate(String),
    /// The user of this id on this machine, at a unix socket.
    Uid(u32),
}

impl TryFrom<String> for Who {
    type Error = String;

    fn try_from(text: String) -> Result<Who, String> {
        match text.split_once(':') {
            // DNS names are the same in any case; a URI's scheme and path need not be.
            Some(("cert", name)) if name.contains(':') => Ok(Who::Certificate(name.to_owned())),
            Some(("cert", name)) if !name.is_empty() => {
                Ok(Who::Certificate(name.to_ascii_lowercase()))
            }
            Some(("uid", number)) => number
                .parse()
                .map(Who::Uid)
                .map_err(|_| format!("{text:?} must be uid: and a number, as in \"uid:1000\"")),
            _ => Err(format!(
                "{text:?} must be \"cert:NAME\", NAME a DNS or URI name of a certificate, or \"uid:NUMBER\""
            )),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Certificate(name) => write!(f, "certificate {name}"),
            Who::Uid(uid) => write!(f, "uid {uid}"),
        }
    }
}

/// The names in a certificate that was verified: DNS names in small letters, and URIs.
pub fn names(certificate: &CertificateDer<'_>) -> Vec<Who> {
    let Ok(certificate) = webpki::EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    let hosts = certificate.valid_dns_names().map(str::to_ascii_lowercase);
    let uris = certificate.valid_uri_names().map(str::to_owned);
    hosts.chain(uris).map(Who::Certificate).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn who_is_written_as_a_kind_and_a_name() {
        let read = |text: &str| Who::try_from(text.to_owned());
        let certificate = |name: &str| Ok(Who::Certificate(name.to_owned()));
        assert_eq!(
            read("cert:App.Shop.example"),
            certificate("app.shop.example")
        );
        assert_eq!(
            read("cert:spiffe://Shop/app"),
            certificate("spiffe://Shop/app")
        );
        assert_eq!(read("uid:1000"), Ok(Who::Uid(1_000)));
        for wrong in [
            "", "ann", "cert:", "uid:", "uid:ann", "uid:-1", "token:x", "Cert:x",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn certificate_is_known_by_its_alternative_names_only() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut of = rcgen::CertificateParams::new(vec!["App.example".to_owned()]).unwrap();
        let uri = rcgen::SanType::URI("spiffe://shop/app".try_into().unwrap());
        of.subject_alt_names.push(uri);
        of.distinguished_name
            .push(rcgen::DnType::CommonName, "admin.example");
        let certificate = of.self_signed(&key).unwrap();
        let expected = ["app.example", "spiffe://shop/app"].map(|n| Who::Certificate(n.to_owned()));
        assert_eq!(names(certificate.der()), expected);
    }
}
