//! The TLS side: rustls with aws-lc-rs, TLS 1.2 and 1.3, ALPN h2 and http/1.1.

use std::{path::PathBuf, sync::Arc};

use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};

use crate::config::Tls;

/// The certificate or its key can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, unreadable or not PEM.
    #[error("can't read {path}; `tls.cert` and `tls.key` must be PEM files we may read")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind we can't use.
    #[error(
        "`tls.cert` and `tls.key` can't be used together; is this the key of that certificate?"
    )]
    Pair(#[source] rustls::Error),
}

/// Reads certificate and key and makes the configuration all TLS listeners share.
///
/// # Errors
/// [`TlsError`] naming the file.
pub fn server_config(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let file = |path: &PathBuf, source| TlsError::File {
        path: path.clone(),
        source,
    };
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| file(&tls.cert, source))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|source| file(&tls.key, source))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
