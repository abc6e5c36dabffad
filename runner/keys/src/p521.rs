//! Keys on the curve P-521, which ring does not sign with: `RustCrypto`'s signature below rustls' interface. Pure.

use std::sync::Arc;

use p521::ecdsa::signature::Signer as _;
use p521::ecdsa::{Signature, SigningKey};
use pkcs8::EncodePublicKey;
use rustls::sign::{Signer, SigningKey as AnyKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};

/// A key on P-521. It prints nothing.
#[derive(Clone)]
struct Key(Arc<SigningKey>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("P-521")
    }
}

/// The key, when it is one on P-521.
pub(crate) fn read(der: &PrivateKeyDer<'_>) -> Option<Arc<dyn AnyKey>> {
    let secret = match der {
        // Another key is taken by the provider, or named by the caller.
        PrivateKeyDer::Pkcs8(der) => {
            p521::SecretKey::try_from(pkcs8::PrivateKeyInfoRef::try_from(der.secret_pkcs8_der()).ok()?).ok()
        }
        PrivateKeyDer::Sec1(der) => p521::SecretKey::from_sec1_der(der.secret_sec1_der()).ok(),
        // PKCS#1 is RSA alone.
        _ => None,
    }?;
    Some(Arc::new(Key(Arc::new(SigningKey::from(&secret)))))
}

impl AnyKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let ours = SignatureScheme::ECDSA_NISTP521_SHA512;
        offered.contains(&ours).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        // Without it, the pair is not compared.
        let der = self.0.verifying_key().to_public_key_der().ok()?;
        Some(SubjectPublicKeyInfoDer::from(der.into_vec()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let made: Signature = self.0.try_sign(message).map_err(|_| Error::General("signing failed".to_owned()))?;
        Ok(made.to_der().as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}
