//! By what the command line is known to a coordinator, and by what it knows one.

use std::path::{Path, PathBuf};

use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::VerbFailure;
use super::address::At;

/// What shows who asks, and whom to believe.
#[derive(Debug, clap::Args)]
pub(super) struct Credentials {
    /// For https: the CA of the coordinator's certificate, PEM
    #[arg(long, env = "TANDEM_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Your certificate, PEM
    #[arg(
        long,
        env = "TANDEM_CERTIFICATE_FILE",
        value_name = "FILE",
        requires = "key_file"
    )]
    certificate_file: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(
        long,
        env = "TANDEM_KEY_FILE",
        value_name = "FILE",
        requires = "certificate_file"
    )]
    key_file: Option<PathBuf>,
    /// A file that holds your token, and nothing else
    #[arg(long, env = "TANDEM_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Credentials {
    /// The endpoint there, through TLS if that is https.
    pub(super) fn endpoint(&self, at: &At) -> Result<Endpoint, VerbFailure> {
        let endpoint = Endpoint::from_shared(at.as_str().to_owned());
        let endpoint = endpoint.map_err(|error| VerbFailure::Usage(format!("{at}: {error}")))?;
        if !at.is_encrypted() {
            return Ok(endpoint);
        }
        let Some(ca_file) = &self.ca_file else {
            return Err(VerbFailure::Usage(format!(
                "{at} is encrypted: name the CA of its certificate with --ca-file (or TANDEM_CA_FILE)"
            )));
        };
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca_file)?));
        if let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        endpoint.tls_config(tls).map_err(|error| {
            let causes = super::status::causes(&error);
            VerbFailure::Usage(format!(
                "the certificates or the key can't be used: {causes}"
            ))
        })
    }

    /// What says in each call whose it is.
    pub(super) fn authorization(&self) -> Result<Option<AsciiMetadataValue>, VerbFailure> {
        let Some(path) = &self.token_file else {
            return Ok(None);
        };
        let token = read(path)?;
        let mut value = AsciiMetadataValue::try_from([b"Bearer ", token.trim_ascii()].concat())
            .map_err(|_| VerbFailure::Usage(format!("{} holds no token", path.display())))?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, VerbFailure> {
    std::fs::read(path)
        .map_err(|error| VerbFailure::Usage(format!("can't read {}: {error}", path.display())))
}
