//! Keys that sign documents, and the public keys that check them: ECDSA over P-256 with SHA-256. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use x509_parser::oid_registry::Oid;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

use crate::identity;
use crate::kind::{Kind, kind};
use crate::pem;

/// How to make a pair.
const MAKE: &str = "make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out signing-key.pem";
/// How to write the public one of a pair.
const EXTRACT: &str = "write it: openssl pkey -in signing-key.pem -pubout -out signing-key-pub.pem";
/// Letters in a line of PEM.
const LINE: usize = 64;
/// `id-ecPublicKey` and `prime256v1`, as they stand in DER.
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// Bytes of a point of P-256 that is not compressed, and how it begins.
const POINT: usize = 65;
const UNCOMPRESSED: u8 = 4;

/// A private key that signs. It prints nothing of itself.
pub struct Signer {
    key: Box<dyn rustls::sign::Signer>,
    public: PublicKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({})", self.public.id())
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// As `SubjectPublicKeyInfo`.
    der: Vec<u8>,
    point: Vec<u8>,
}

impl Signer {
    /// Reads a private key in PEM or DER, PKCS#8 or SEC1.
    ///
    /// # Errors
    /// What is wrong with it, in fixed words, with the fix.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let der = identity::key(bytes, None).map_err(|refused| refused.reason)?;
        let other = || format!("holds a private key that is not ECDSA on the curve P-256; {MAKE}");
        let key = any_supported_type(&der).map_err(|_| other())?;
        let public = key.public_key().ok_or_else(other)?;
        let public = PublicKey::of_der(&public).map_err(|_| other())?;
        let key = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).ok_or_else(other)?;
        Ok(Self { key, public })
    }

    /// The public key that checks what this one signs.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message: an ECDSA signature in DER, as `openssl dgst -sha256 -verify` takes it.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, String> {
        self.key.sign(message).map_err(|_| "the system gave no random number for a signature".to_owned())
    }
}

impl PublicKey {
    /// Reads a public key in PEM (`PUBLIC KEY`) or DER.
    ///
    /// # Errors
    /// What is wrong with it, in fixed words, with the fix.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let text = match kind(bytes) {
            Kind::Pem(text) => text,
            Kind::Certificate => return Err(of_certificate()),
            // DER is what it is only once it reads.
            _ => return Self::of_der(bytes),
        };
        let blocks = pem::blocks(text)?;
        match blocks.as_slice() {
            [one] if one.label == "PUBLIC KEY" => Self::of_der(one.der.as_deref().unwrap_or_default()),
            all if all.iter().any(|block| block.label.ends_with("PRIVATE KEY")) => {
                Err(format!("holds a private key where a public one is wanted; {EXTRACT}"))
            }
            all if all.iter().any(|block| block.label == "CERTIFICATE") => Err(of_certificate()),
            all => Err(format!("holds {} blocks of PEM and must hold one public key; {EXTRACT}", all.len())),
        }
    }

    fn of_der(der: &[u8]) -> Result<Self, String> {
        let Ok((rest, info)) = SubjectPublicKeyInfo::from_der(der) else {
            return Err(format!("holds no public key in PEM or DER; {EXTRACT}"));
        };
        // Parameters of another form are another curve.
        let curve = info.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
        let is_curve = curve.is_some_and(|curve: Oid<'_>| curve.as_bytes() == P256);
        let point = info.subject_public_key.data.as_ref();
        let is_point = point.len() == POINT && point.first() == Some(&UNCOMPRESSED);
        if info.algorithm.algorithm.as_bytes() != EC || !is_curve || !rest.is_empty() {
            return Err(format!("holds a public key that is not ECDSA on the curve P-256; {MAKE}"));
        }
        if !is_point {
            return Err(format!("holds a public key in the compressed form, which is not taken; {EXTRACT}"));
        }
        Ok(Self { der: der.to_vec(), point: point.to_vec() })
    }

    /// Its name: SHA-256 of its DER, hexadecimal.
    #[must_use]
    pub fn id(&self) -> String {
        digest(&SHA256, &self.der).as_ref().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        })
    }

    /// Whether its private key made this signature (in DER) of the message.
    #[must_use]
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point).verify(message, signature).is_ok()
    }

    /// As PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        let letters: Vec<char> = BASE64_STANDARD.encode(&self.der).chars().collect();
        let lines: Vec<String> = letters.chunks(LINE).map(|line| line.iter().collect()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

fn of_certificate() -> String {
    "holds a certificate where a public key is wanted; write it: openssl x509 -in FILE -noout -pubkey -out signing-key-pub.pem"
        .to_owned()
}
