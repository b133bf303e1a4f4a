//! A listener's TLS: what it shows, and whose certificates it takes.

use std::sync::Arc;

use anyhow::Context;
use tandem_participant::reread;
use tokio::sync::watch;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

use crate::config;

/// The protocol that is agreed on, which gRPC clients insist on.
const ALPN: &[u8] = b"h2";

/// A listener's TLS, as it is for the next connection.
pub(super) type Tls = watch::Receiver<Arc<ServerConfig>>;

/// TLS as the configuration has it; its files are read again when they change.
pub(super) fn tls(section: &config::Tls) -> anyhow::Result<Tls> {
    let config::Tls {
        certificate_file,
        key_file,
        client_ca_file,
    } = section.clone();
    let paths = [Some(certificate_file), Some(key_file), client_ca_file];
    let paths = paths.into_iter().flatten().collect();
    reread("[tls]", paths, |files| {
        let [certificates, key, client_ca @ ..] = files else {
            return Err("certificate_file and key_file are needed".to_owned());
        };
        let client_ca = client_ca.first().map(Vec::as_slice);
        server_config(certificates, key, client_ca).map(Arc::new)
    })
    .context("[tls]")
}

/// The error says which file is wrong, and never what is in it.
fn server_config(
    certificates: &[u8],
    key: &[u8],
    client_ca: Option<&[u8]>,
) -> Result<ServerConfig, String> {
    let provider = Arc::new(crypto::ring::default_provider());
    let of_key = |error| format!("key_file: {error}");
    let key = PrivateKeyDer::from_pem_slice(key).map_err(of_key)?;
    let certificates = read(certificates, "certificate_file")?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(client_ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in read(client_ca, "client_ca_file")? {
                let of_ca = |error| format!("client_ca_file: {error}");
                roots.add(certificate).map_err(of_ca)?;
            }
            // Who has a token needs no certificate; who has neither is refused by name at each call.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| format!("client_ca_file: {error}"))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder
        .with_single_cert(certificates, key)
        .map_err(|error| format!("certificate_file and key_file: {error}"))?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A session that was resumed would not be asked for a certificate, which may have run out since.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The certificates of a PEM file, of which there is at least one.
fn read(pem: &[u8], key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| format!("{key}: {error}"))?;
    if certificates.is_empty() {
        return Err(format!("{key}: has no certificate in PEM"));
    }
    Ok(certificates)
}
