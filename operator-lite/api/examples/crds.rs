//! Writes the definition of each kind into a folder: `crds DIR`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "manifests/crds".to_owned());
    for kind in &api::document::KINDS {
        let definition = kind.definition();
        let folder = Path::new(&dir).join(kind.group);
        std::fs::create_dir_all(&folder)?;
        let text = serde_saphyr::to_string(&definition).map_err(std::io::Error::other)?;
        std::fs::write(folder.join(format!("{}.yaml", definition.spec.names.plural)), text)?;
    }
    Ok(())
}
