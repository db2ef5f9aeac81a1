//! The certificate of a world and a client that trusts no other.

use std::{fs, path::Path, process::Command, sync::Arc};

use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

/// What a client needs to speak with the world's Vestibule.
pub struct Trust {
    root: CertificateDer<'static>,
    /// SHA-256 of the certificate's public key in base64, as Chromium's
    /// `--ignore-certificate-errors-spki-list` takes it.
    pub pin: String,
}

impl Trust {
    /// Makes `cert.pem` and `key.pem` in `dir`.
    pub fn make(dir: &Path) -> Self {
        let script = "
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3 \
                -keyout key.pem -out cert.pem -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE
            openssl x509 -in cert.pem -noout -pubkey | openssl pkey -pubin -outform der \
                | openssl dgst -sha256 -binary | openssl base64 > cert.pin";
        openssl(dir, script);
        let read = |name| fs::read(dir.join(name)).unwrap();
        Self {
            root: CertificateDer::from_pem_slice(&read("cert.pem")).unwrap(),
            pin: String::from_utf8(read("cert.pin"))
                .unwrap()
                .trim()
                .to_owned(),
        }
    }

    /// A client that offers `alpn`.
    pub fn client(&self, alpn: &[u8]) -> Arc<ClientConfig> {
        self.client_of(alpn, rustls::ALL_VERSIONS)
    }

    /// A client of certain versions of TLS.
    pub fn client_of(
        &self,
        alpn: &[u8],
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }
}

/// Runs a shell script of openssl commands in `dir`.
pub fn openssl(dir: &Path, script: &str) {
    let output = Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
}
