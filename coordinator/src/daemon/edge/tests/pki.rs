//! Certificates for tests, and what peers make of them.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// A CA.
pub(super) struct Ca(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key in PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Ca {
    pub(super) fn new() -> Ca {
        let mut of = CertificateParams::default();
        of.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Ca(CertifiedIssuer::self_signed(of, KeyPair::generate().unwrap()).unwrap())
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this name.
    pub(super) fn issue(&self, name: &str) -> Pair {
        self.sign(CertificateParams::new(vec![name.to_owned()]).unwrap())
    }

    /// The same, which has run out.
    pub(super) fn issue_expired(&self, name: &str) -> Pair {
        let mut of = CertificateParams::new(vec![name.to_owned()]).unwrap();
        of.not_before = date_time_ymd(2020, 1, 1);
        of.not_after = date_time_ymd(2021, 1, 1);
        self.sign(of)
    }

    fn sign(&self, of: CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = of.signed_by(&key, &self.0).unwrap();
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A channel to `port` that believes this CA, with a certificate of its own if there is one.
    pub(super) async fn connect(
        &self,
        port: u16,
        own: Option<&Pair>,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(self.pem()));
        if let Some(Pair { certificate, key }) = own {
            tls = tls.identity(Identity::from_pem(certificate, key));
        }
        let endpoint = Endpoint::from_shared(format!("https://localhost:{port}"))?;
        endpoint.tls_config(tls)?.connect().await
    }
}

impl Pair {
    /// Writes both into a folder, and gives their paths.
    pub(super) fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, &self.certificate).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        (certificate, key)
    }
}
