//! The way to a participant's sidecar: a channel, and what is shown and believed on it.

use std::path::PathBuf;

use tandem_proto::v1::participant_service_client::ParticipantServiceClient;
use tokio::sync::watch;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::convert::MESSAGE_BYTES_MAX;
use crate::reread::reread;

/// By what a sidecar is believed, and by what it knows who calls: paths of PEM files and of one that holds a
/// token. They are read again when they change; calls under way go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The CAs of the sidecar's certificate; an endpoint with https needs it.
    pub ca_file: Option<PathBuf>,
    /// The caller's certificate and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// The caller's token.
    pub token_file: Option<PathBuf>,
}

/// A client, and what says in each call whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    pub(crate) client: ParticipantServiceClient<Channel>,
    pub(crate) authorization: Option<AsciiMetadataValue>,
}

/// The way to an endpoint as it is for the next call. Connects to nothing yet.
pub(crate) fn way(
    endpoint: Endpoint,
    is_encrypted: bool,
    credentials: &Credentials,
) -> Result<watch::Receiver<Way>, String> {
    let Credentials {
        ca_file,
        own,
        token_file,
    } = credentials.clone();
    if is_encrypted && ca_file.is_none() {
        return Err("an endpoint with https needs ca_file, the CA of its certificate".to_owned());
    }
    let (certificate, key) = own.unzip();
    let files = [ca_file, certificate, key, token_file];
    let is_there = files.each_ref().map(Option::is_some);
    let paths = files.into_iter().flatten().collect();
    let make = move |contents: &[Vec<u8>]| {
        let mut contents = contents.iter().map(Vec::as_slice);
        let [ca, certificate, key, token] =
            is_there.map(|is| is.then(|| contents.next()).flatten());
        let tls = is_encrypted.then(|| tls(ca, certificate.zip(key)));
        let endpoint = match tls {
            Some(tls) => endpoint
                .clone()
                .tls_config(tls)
                .map_err(|error| causes(&error))?,
            None => endpoint.clone(),
        };
        Ok(Way {
            client: ParticipantServiceClient::new(endpoint.connect_lazy())
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
            authorization: token.map(authorization).transpose()?,
        })
    };
    reread("the way to a sidecar", paths, make).map_err(|error| causes(&error))
}

fn tls(ca: Option<&[u8]>, own: Option<(&[u8], &[u8])>) -> ClientTlsConfig {
    let mut tls = ClientTlsConfig::new();
    if let Some(ca) = ca {
        tls = tls.ca_certificate(Certificate::from_pem(ca));
    }
    if let Some((certificate, key)) = own {
        tls = tls.identity(Identity::from_pem(certificate, key));
    }
    tls
}

/// `Bearer TOKEN` (RFC 6750, 2.1), which is shown in no log.
fn authorization(token: &[u8]) -> Result<AsciiMetadataValue, String> {
    let value = [b"Bearer ", token.trim_ascii()].concat();
    let mut value =
        AsciiMetadataValue::try_from(value).map_err(|_| "token_file holds no token".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
