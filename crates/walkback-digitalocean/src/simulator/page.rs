//! A page that shows what exists.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta http-equiv=refresh content=2><title>Simulated account</title><style>\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1b1f24}\
h1{font-size:1.4rem}h2{font-size:1rem;margin:1.6rem 0 .3rem}h2::first-letter{text-transform:uppercase}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #e3e6ea}\
th{color:#667;font-weight:500}td{white-space:nowrap;vertical-align:top}\
td:last-child{white-space:normal;overflow-wrap:anywhere;width:99%}.none{color:#667}</style><h1>Simulated account</h1>";

/// Members that tell what a thing is, in the order of their columns.
const COLUMNS: [&str; 8] = ["id", "name", "ip", "status", "region", "type", "data", "tags"];

/// The page of these things.
pub(super) fn of(things: &BTreeMap<String, Vec<Value>>) -> String {
    let mut page = String::from(HEAD);
    if things.is_empty() {
        page.push_str("<p class=none>Nothing exists.</p>");
    }
    for (kind, things) in things {
        let has = |column: &&str| things.iter().any(|thing| !thing[*column].is_null());
        let columns: Vec<_> = COLUMNS.into_iter().filter(|column| has(column)).collect();
        let kind = kind.replace('_', " ").replace("ips", "IPs").replace("vpcs", "VPCs");
        // Writing to a string cannot fail.
        write!(page, "<h2>{kind} ({})</h2><table><tr>", things.len()).ok();
        for column in &columns {
            write!(page, "<th>{column}").ok();
        }
        for thing in things {
            page.push_str("<tr>");
            for column in &columns {
                write!(page, "<td>{}", shown(&thing[*column])).ok();
            }
        }
        page.push_str("</table>");
    }
    page
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(all) => return all.iter().map(shown).collect::<Vec<_>>().join("<br>"),
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(object) => {
            object.get("slug").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    };
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_holds_is_text() {
        let named = serde_json::json!({"id": 1, "name": "<script>alert(1)</script>"});
        let page = of(&[("droplets".to_owned(), vec![named])].into());
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
    }
}
