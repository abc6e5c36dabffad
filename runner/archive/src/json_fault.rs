//! What is wrong with a JSON document of a store, in our words. The words of the parser quote the document: whoever may write
//! there would choose what stands in a status or on a terminal.

use serde_json::error::Category;

/// In words that follow the name of a document.
#[must_use]
pub(crate) fn json_fault(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        Category::Eof => "is cut short",
        Category::Syntax => "is no JSON",
        Category::Data => "lacks a field, or has one that is not as it should be",
        Category::Io => "cannot be read",
    };
    // A value that was read before has no places.
    match (error.line(), error.column()) {
        (0, _) => what.to_owned(),
        (line, column) => format!("{what} (line {line}, column {column})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_document_do_not_show() {
        #[derive(Debug, serde::Deserialize)]
        struct Known {
            #[allow(dead_code)]
            number: u32,
        }
        let fault = |text: &str| json_fault(&serde_json::from_str::<Known>(text).unwrap_err());
        assert_eq!(fault("{\"number\": "), "is cut short (line 1, column 11)");
        assert_eq!(fault("{\"number\": x}"), "is no JSON (line 1, column 12)");
        assert!(fault(r#"{"number": "secret words"}"#).starts_with("lacks a field, or has one"));
        assert!(!fault(r#"{"number": "secret words"}"#).contains("secret"));
        let value = serde_json::from_value::<Known>(serde_json::json!({"number": "secret words"})).unwrap_err();
        assert_eq!(json_fault(&value), "lacks a field, or has one that is not as it should be");
    }
}
