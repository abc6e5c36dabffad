//! What several commands are asked: where they read, and in which form they tell it.

use clap::{Args, ValueEnum};

/// Where an archive is read.
#[derive(Debug, Clone, Args)]
pub struct ReadFrom {
    /// Read this store from here, without a cluster: a directory, or `s3://BUCKET/PREFIX`, `azure://ACCOUNT/CONTAINER`, `gs://BUCKET`
    #[arg(long, value_name = "URL", help_heading = "Source")]
    pub store: Option<String>,
    /// Trust the authority in this file (PEM or DER) for the store's certificate, beside the system's
    #[arg(long, value_name = "FILE", requires = "store", help_heading = "Source")]
    pub ca_file: Option<std::path::PathBuf>,
}

/// Forms of what is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Table,
    /// For people, with more columns.
    Wide,
    /// One document.
    Json,
    /// One document.
    Yaml,
    /// Names only.
    Name,
    /// A document a line.
    Jsonl,
}
