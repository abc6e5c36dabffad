//! Inputs of somebody who means harm: whoever writes to a bucket, runs a broker, or writes a resource. Each target takes any
//! bytes, and must come back: it may refuse them, and must neither panic, nor hang, nor take more memory than a small pod has.
//!
//! The targets are plain functions. The driver ([`drive`]) gives them real documents that it changed, on any toolchain, each in a
//! process with little memory; `libfuzzer/` gives them what libFuzzer finds.

mod archives;
mod batches;
mod documents;
pub mod drive;
mod foreigners;
#[allow(dead_code, missing_docs, clippy::pedantic)] // shared with the tests of the archive
#[path = "../../../runner/archive/tests/hostile/forge.rs"]
mod forge;
#[allow(missing_docs, clippy::pedantic)]
#[path = "../../../runner/archive/tests/made/mod.rs"]
mod made;
pub mod mutate;
mod resources;
#[allow(dead_code, missing_docs, clippy::pedantic)]
#[path = "../../../runner/archive/tests/hostile/ways.rs"]
mod ways;

/// Something that takes bytes from outside.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Honest inputs, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What is done with an input.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    // Of a broker, and of whoever writes to a topic.
    Target { name: "split", seeds: batches::seeds, run: batches::split },
    Target { name: "records", seeds: batches::packed, run: batches::records },
    Target { name: "stream", seeds: batches::single, run: batches::stream },
    Target { name: "restore_batch", seeds: batches::single, run: batches::restored },
    // Of whoever writes to a bucket.
    Target { name: "entry", seeds: documents::entries, run: documents::entry },
    Target { name: "footer", seeds: documents::footers, run: documents::footer },
    Target { name: "set_document", seeds: documents::sets, run: documents::set },
    Target { name: "groups", seeds: documents::sides, run: documents::groups },
    Target { name: "configs", seeds: documents::sides, run: documents::configs },
    Target { name: "restore", seeds: documents::restores, run: documents::restore },
    Target { name: "saved_offsets", seeds: documents::saved, run: documents::saved_offsets },
    Target { name: "mapping", seeds: documents::mappings, run: documents::mapping },
    Target { name: "log", seeds: archives::documents, run: archives::log },
    Target { name: "archive", seeds: archives::harms, run: archives::whole },
    Target { name: "foreign_segment", seeds: foreigners::segments, run: foreigners::any_segment },
    Target { name: "foreign_manifest", seeds: foreigners::manifests, run: foreigners::any_manifest },
    Target { name: "foreign_groups", seeds: foreigners::snapshots, run: foreigners::any_snapshot },
    // Of whoever writes resources, Secrets, or to a pod's log.
    Target { name: "review", seeds: resources::documents, run: resources::review },
    Target { name: "spec", seeds: resources::specs, run: resources::spec },
    Target { name: "question", seeds: resources::questions_seeds, run: resources::question },
    Target { name: "words", seeds: resources::words, run: resources::said },
    Target { name: "keys", seeds: resources::key_files, run: resources::key },
];

/// A target by its name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A seed that nothing reads would test nothing: each target takes its seeds, and one byte, and none.
    #[test]
    fn targets_take_their_own_seeds() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{} has no seeds", target.name);
            for seed in seeds.iter().take(3) {
                (target.run)(seed);
            }
            (target.run)(&[]);
            (target.run)(&[0]);
        }
    }
}
