//! The evidence of a result: made, signed and stored beside the archive, or where the specification says. Each attempt that comes
//! to a result has a folder of its own, so nothing is ever replaced. A private key stays in memory for this run, and is never told.

use archive::{KeptEvidence, Store};
use contract::words::of_system;
use contract::{Code, EvidenceLine, EvidenceSpec, Failure, Report, SigningSpec, ValidationReport};
use evidence::{DOCUMENT, Statement};
use keys::{PublicKey, Signer};

use super::Run;
use super::expiry::{self, Expired};
use crate::connect;

/// Results that are named in a warning.
const NAMED: usize = 3;

/// What keeping evidence takes, found before much is read.
pub(super) struct Ready<'a> {
    part: &'a EvidenceSpec,
    signer: Option<Signer>,
    store: Store,
    /// Where the archive lies, for people.
    archive: String,
}

/// Opens the store and reads the keys; `None` where no evidence is asked for.
///
/// # Errors
/// What is wrong with a key; the store's failures.
pub(super) async fn prepare<'a>(run: &Run<'a>) -> Result<Option<Ready<'a>>, Failure> {
    let Some(part) = &run.part.evidence else { return Ok(None) };
    let signer = match &part.signing {
        Some(signing) => Some(signer(run, signing).await?),
        None => None,
    };
    let archive = connect::store(run.context, run.spec).await?;
    let place = archive.place().to_owned();
    let store = match &part.storage {
        Some(storage) => connect::open(run.context, storage, &run.spec.circuit_breaker).await?,
        None => archive,
    };
    Ok(Some(Ready { part, signer, store, archive: place }))
}

async fn signer(run: &Run<'_>, signing: &SigningSpec) -> Result<Signer, Failure> {
    let unusable = |file: &str, why: &str| {
        Failure::new(Code::SecretUnusable, format!("{} {why}", run.context.paths.secret(file).display()))
    };
    let (private_file, public_file) = (&signing.private_key_file, &signing.public_key_file);
    let private = read(run, private_file).await?;
    let public = read(run, public_file).await?;
    let signer = Signer::read(&private).map_err(|why| unusable(private_file, &why))?;
    let public = PublicKey::read(&public).map_err(|why| unusable(public_file, &why))?;
    if public != *signer.public() {
        let why = "holds another public key than that of the private key; write it anew: openssl pkey -in signing-key.pem -pubout -out signing-key-pub.pem";
        return Err(unusable(public_file, why));
    }
    Ok(signer)
}

async fn read(run: &Run<'_>, file: &str) -> Result<Vec<u8>, Failure> {
    let path = connect::await_secret(run.context, file).await?;
    let read = tokio::fs::read(&path).await;
    read.map_err(|error| {
        let text = format!("{} cannot be read: {}", path.display(), of_system(&error));
        Failure::new(Code::SecretUnusable, text)
    })
}

impl Ready<'_> {
    /// Keeps the evidence of a result, where there is one, and deletes what is too old.
    ///
    /// # Errors
    /// When it cannot be made or stored. What cannot be deleted is a warning.
    pub(super) async fn keep(&self, run: &Run<'_>, report: &Report, out: &mut ValidationReport) -> Result<(), Failure> {
        if run.context.cancel.is_cancelled() {
            return Ok(());
        }
        let nonce: String = run.context.nonce().chars().take(8).collect();
        let id = format!("{}-{nonce}", report.run);
        let now = run.context.now_text();
        let warnings = run.emitter.warnings();
        let not_made = |error: &dyn std::fmt::Display| Failure::new(Code::Internal, format!("the evidence: {error}"));
        let made = Statement::of(run.spec, (report, out), (&id, &self.archive, &now), warnings);
        let Some(document) = made.map_err(|error| not_made(&error))? else { return Ok(()) };
        let files = evidence::files(&document, self.part.pdf, self.signer.as_ref());
        let files = files.map_err(|error| not_made(&error))?;
        let kept = KeptEvidence::new(&self.store, &run.spec.namespace, &run.spec.name);
        let mut line = EvidenceLine {
            signed: self.signer.is_some(),
            key_id: self.signer.as_ref().map(|signer| signer.public().id()),
            ..EvidenceLine::default()
        };
        // The document first: what a killed attempt leaves is found by it when its time is over.
        for file in files.into_iter().rev() {
            if file.name == DOCUMENT {
                line.sha256 = evidence::sha256(&file.bytes);
            }
            let place = kept.create(&id, file.name, file.bytes).await?;
            if file.name == DOCUMENT {
                line.path = place;
            }
            line.files.push(file.name.to_owned());
        }
        let mut expired = Expired::default();
        let ended = expiry::delete_expired(&kept, run.spec, &id, self.part.retention_days, &mut expired).await;
        if let Err(failure) = ended {
            run.emitter.warn(format!(
                "evidence that is older than {} days could not be deleted: {failure}",
                self.part.retention_days
            ));
        }
        tell_unclear(run, &expired);
        line.removed = expired.removed;
        out.evidence = Some(line);
        Ok(())
    }
}

fn tell_unclear(run: &Run<'_>, expired: &Expired) {
    if expired.unclear.is_empty() {
        return;
    }
    let named: Vec<&str> = expired.unclear.iter().take(NAMED).map(String::as_str).collect();
    let count = contract::words::plural(expired.unclear.len() as u64, "folder");
    run.emitter.warn(format!(
        "{count} of evidence are old enough to be deleted and stay, because no document in them says that they are of this validation: {}{}",
        named.join(", "),
        if expired.unclear.len() > NAMED { ", ..." } else { "" }
    ));
}
