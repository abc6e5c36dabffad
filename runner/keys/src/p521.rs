//! Keys on the curve P-521, which ring neither signs with nor verifies: `RustCrypto`'s signature below rustls' interface. Pure.

use std::sync::{Arc, OnceLock};

use p521::ecdsa::signature::Signer as _;
use p521::ecdsa::signature::hazmat::PrehashVerifier as _;
use p521::ecdsa::{Signature, SigningKey, VerifyingKey};
use pkcs8::EncodePublicKey;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring as provider_of_ring};
use rustls::sign::{Signer, SigningKey as AnyKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use rustls_pki_types::{
    AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer,
    alg_id,
};

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

/// Signatures of a key on P-521 over one digest.
#[derive(Debug)]
struct Over {
    digest: &'static ring::digest::Algorithm,
    id: AlgorithmIdentifier,
}

static SHA512: Over = Over { digest: &ring::digest::SHA512, id: alg_id::ECDSA_SHA512 };
/// OpenSSL signs with SHA-256 where nobody says another digest, whatever the curve.
static SHA256: Over = Over { digest: &ring::digest::SHA256, id: alg_id::ECDSA_SHA256 };
static SHA384: Over = Over { digest: &ring::digest::SHA384, id: alg_id::ECDSA_SHA384 };

type Algorithm = &'static dyn SignatureVerificationAlgorithm;
static SERVERS: [Algorithm; 1] = [&SHA512];

impl SignatureVerificationAlgorithm for Over {
    fn verify_signature(&self, public_key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(public_key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        let digest = ring::digest::digest(self.digest, message);
        key.verify_prehash(digest.as_ref(), &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }
}

/// The provider of all TLS here: ring's, which judges signatures on P-521, too.
#[must_use]
pub fn provider() -> CryptoProvider {
    static KNOWN: OnceLock<WebPkiSupportedAlgorithms> = OnceLock::new();
    let provider = provider_of_ring::default_provider();
    let own = provider.signature_verification_algorithms;
    let known = KNOWN.get_or_init(|| {
        let all: Vec<Algorithm> = own.all.iter().copied().chain([&SHA512 as Algorithm, &SHA384, &SHA256]).collect();
        let ours = (SignatureScheme::ECDSA_NISTP521_SHA512, &SERVERS as &'static [Algorithm]);
        let mapping: Vec<_> = own.mapping.iter().copied().chain([ours]).collect();
        // Once for the process: rustls wants them for ever.
        WebPkiSupportedAlgorithms { all: all.leak(), mapping: mapping.leak() }
    });
    CryptoProvider { signature_verification_algorithms: *known, ..provider }
}
