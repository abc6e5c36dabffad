//! `explain`: the page of an error code, or of a field.

use clap::Args;
use contract::Code;

use crate::error::Error;
use crate::exit::Exit;
use crate::near;
use crate::screen::{Screen, Tone};
use crate::show::table::{Cell, table};
use crate::words;

/// Flags of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup explain                          all codes
  kubectl kafka-backup explain KB2003
  kubectl kafka-backup explain kafkabackup.spec.schedule
  kubectl kafka-backup explain kafkarestore.spec.pitr")]
pub struct ExplainFlags {
    /// CODE such as KB4001, or KIND.FIELD such as kafkabackup.spec.topics
    what: Option<String>,
    /// The API group of KIND
    #[arg(long, default_value = api::oso::GROUP)]
    group: String,
}

/// Explains a code or a field.
pub(crate) fn explain(options: &ExplainFlags, screen: &mut Screen) -> Result<Exit, Error> {
    let Some(what) = &options.what else {
        let rows: Vec<Vec<Cell>> =
            Code::ALL.iter().map(|code| vec![code.as_str().into(), code.title().into()]).collect();
        let text = table(&["CODE", "~MEANING"], &rows, &screen.style);
        screen.text(&text)?;
        return Ok(Exit::Done);
    };
    if what.to_ascii_uppercase().starts_with("KB") && !what.contains('.') {
        let code: Code = what.to_ascii_uppercase().parse().map_err(|rule: String| {
            let known: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
            let hint = near::hint(&what.to_ascii_uppercase(), &known);
            Error::usage(rule, hint.unwrap_or_else(|| "`kubectl kafka-backup explain` lists all codes".to_owned()))
        })?;
        let title = screen.style.paint(Tone::Strong, &format!("{code}: {}", code.title()));
        let help = words::wrap(code.help(), screen.style.columns()).join("\n");
        screen.text(&format!("{title}\n\n{help}\n"))?;
        return Ok(Exit::Done);
    }
    field(what, &options.group, screen)
}

fn field(path: &str, group: &str, screen: &mut Screen) -> Result<Exit, Error> {
    let (kind, field) = path.split_once('.').unwrap_or((path, ""));
    let fields = api::fields::of_kind(group, kind).ok_or_else(|| {
        let known: Vec<&str> =
            api::document::KINDS.iter().filter(|known| known.group == group).map(|known| known.kind).collect();
        let hint = if known.is_empty() {
            format!("groups are {}", api::document::GROUPS.join(", "))
        } else {
            format!("kinds of {group}: {}", known.join(", "))
        };
        Error::usage(format!("there is no kind `{kind}` in {group}"), hint)
    })?;
    let below = format!("{field}.");
    let list = format!("{field}[]");
    let shown: Vec<_> = fields
        .iter()
        .filter(|known| field.is_empty() || known.path == field || known.path == list || known.path.starts_with(&below))
        .collect();
    if shown.is_empty() {
        let known: Vec<&str> = fields.iter().map(|known| known.path.as_str()).collect();
        let hint = near::hint(field, &known).unwrap_or_else(|| format!("`explain {kind}` lists all fields"));
        return Err(Error::usage(format!("{kind} of {group} has no field `{field}`"), hint));
    }
    let width = screen.style.columns();
    for known in shown {
        let name = screen.style.paint(Tone::Strong, &known.path);
        let default = known.default.as_ref().map(|default| format!(", default {default}")).unwrap_or_default();
        screen.text(&format!("{name}  {}{default}\n", known.type_name))?;
        for line in words::wrap(&known.description, width.saturating_sub(4)) {
            screen.text(&format!("    {line}\n"))?;
        }
    }
    Ok(Exit::Done)
}
