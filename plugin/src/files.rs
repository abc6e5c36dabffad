//! The documents that `-f`, `-R` and `-k` name, as `kubectl apply` takes them: files, folders, URLs, standard input, and what
//! a kustomization makes.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::{Args, ValueHint};
use contract::words::of_system;

use crate::error::Error;

/// Ends of names that are read in folders.
const ENDS: [&str; 3] = ["json", "yaml", "yml"];
/// How long a URL may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes that a URL may give.
const MOST: usize = 16 << 20;

/// The flags.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Files {
    /// File, folder or URL; `-` reads standard input; separated by commas, or repeated
    #[arg(
        short = 'f', long = "filename", value_name = "FILE", value_delimiter = ',', value_hint = ValueHint::AnyPath,
        required_unless_present = "kustomize"
    )]
    pub(crate) names: Vec<String>,
    /// Read folders in folders, too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// Folder with a kustomization: what `kubectl kustomize` makes of it
    #[arg(short = 'k', long, value_name = "FOLDER", conflicts_with_all = ["names", "recursive"], value_hint = ValueHint::DirPath)]
    pub(crate) kustomize: Option<PathBuf>,
}

/// A text, and what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// Path or URL.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) text: String,
}

impl Files {
    /// Reads all of them, in the order in which kubectl does.
    ///
    /// # Errors
    /// When one cannot be read.
    pub(crate) async fn read(&self) -> Result<Vec<Text>, Error> {
        if let Some(folder) = &self.kustomize {
            let name = folder.display().to_string();
            return Ok(vec![Text { text: kustomized(folder).await?, name }]);
        }
        let mut all = Vec::new();
        for name in &self.names {
            if name == "-" {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).map_err(|error| unread(name, &of_system(&error)))?;
                all.push(Text { name: name.clone(), text });
            } else if name.starts_with("https://") || name.starts_with("http://") {
                all.push(Text { text: fetched(name).await?, name: name.clone() });
            } else {
                for path in under(Path::new(name), self.recursive)? {
                    let name = path.display().to_string();
                    let text = std::fs::read_to_string(&path).map_err(|error| unread(&name, &of_system(&error)))?;
                    all.push(Text { name, text });
                }
            }
        }
        Ok(all)
    }
}

fn unread(name: &str, error: &dyn std::fmt::Display) -> Error {
    Error::usage(format!("{name}: {error}"), "name a YAML or JSON file, a folder of such, or a URL")
}

/// A file itself; of a folder, those that hold documents, by name.
fn under(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, Error> {
    let bad = |error: std::io::Error| unread(&path.display().to_string(), &of_system(&error));
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(bad)?.collect();
    let mut paths: Vec<PathBuf> = entries.map_err(bad)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for inner in paths {
        if inner.is_dir() {
            if recursive {
                found.extend(under(&inner, true)?);
            }
        } else if inner.extension().and_then(OsStr::to_str).is_some_and(|end| ENDS.contains(&end)) {
            found.push(inner);
        }
    }
    Ok(found)
}

async fn fetched(url: &str) -> Result<String, Error> {
    // The HTTP client takes its TLS provider from the process.
    drop(keys::provider().install_default());
    let bad = |error: reqwest::Error| unread(url, &error.without_url());
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(bad)?;
    let mut answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status).map_err(bad)?;
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(bad)? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MOST {
            return Err(unread(url, &format!("it is larger than {} MiB", MOST >> 20)));
        }
    }
    String::from_utf8(bytes).map_err(|_| unread(url, &"it is no text"))
}

/// What kubectl's own kustomize makes of a folder.
async fn kustomized(folder: &Path) -> Result<String, Error> {
    let mut command = tokio::process::Command::new("kubectl");
    command.arg("kustomize").arg(folder).stdin(Stdio::null());
    let made = command.output().await.map_err(|error| {
        let words = of_system(&error);
        Error::usage(format!("kubectl kustomize {}: kubectl {words}", folder.display()), "kubectl must be on the PATH")
    })?;
    if !made.status.success() {
        let words = String::from_utf8_lossy(&made.stderr);
        let words = words.trim().trim_start_matches("error: ");
        return Err(Error::usage(format!("{}: {words}", folder.display()), "mend the kustomization"));
    }
    String::from_utf8(made.stdout).map_err(|_| unread(&folder.display().to_string(), &"it is no text"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn named(found: &[Text]) -> Vec<String> {
        let end = |text: &Text| text.name.rsplit('/').next().unwrap_or_default().to_owned();
        found.iter().map(end).collect()
    }

    #[tokio::test]
    async fn folders_are_read_as_kubectl_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("c-inner")).unwrap();
        for name in ["b.yaml", "a.json", "notes.txt", "c-inner/d.yml", "z.yml"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let names = vec![folder.path().display().to_string()];
        let flat = Files { names: names.clone(), ..Files::default() }.read().await.unwrap();
        assert_eq!(named(&flat), ["a.json", "b.yaml", "z.yml"]);
        let deep = Files { names, recursive: true, ..Files::default() }.read().await.unwrap();
        assert_eq!(named(&deep), ["a.json", "b.yaml", "d.yml", "z.yml"]);
        // A file that is named is read whatever its name ends with.
        let text = Files { names: vec![folder.path().join("notes.txt").display().to_string()], ..Files::default() };
        assert_eq!(text.read().await.unwrap()[0].text, "notes.txt");
        let missing = Files { names: vec!["/no/such/file.yaml".into()], ..Files::default() };
        assert!(missing.read().await.unwrap_err().to_string().contains("/no/such/file.yaml"));
    }

    #[tokio::test]
    async fn a_url_is_fetched_and_a_refusal_told() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for answer in [
                "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nkind: A",
                "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            ] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 1_024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let files = Files { names: vec![format!("http://{address}/backup.yaml")], ..Files::default() };
        assert_eq!(files.read().await.unwrap()[0].text, "kind: A");
        let error = files.read().await.unwrap_err().to_string();
        assert!(error.contains("404"), "{error}");
    }
}
