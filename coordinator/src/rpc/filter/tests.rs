use proptest::prelude::*;

use super::*;

struct Thing {
    name: &'static str,
    state: &'static str,
    size: i64,
    devices: &'static [&'static str],
    end: Option<std::time::Duration>,
}

const WORDS: &[&str] = &["running", "failed"];

static FIELDS: &[Field<Thing>] = &[
    Field { name: "name", kind: Kind::Text, read: |thing| Some(Value::Text(thing.name)) },
    Field {
        name: "state",
        kind: Kind::Word { words: WORDS, prefix: "state_" },
        read: |thing| WORDS.iter().find(|word| **word == thing.state).map(|word| Value::Word(word)),
    },
    Field { name: "size", kind: Kind::Number, read: |thing| Some(Value::Number(thing.size)) },
    Field {
        name: "device",
        kind: Kind::Text,
        read: |thing| Some(Value::Texts(thing.devices.iter().map(|device| (*device).to_owned()).collect())),
    },
    Field { name: "end_time", kind: Kind::Time, read: |thing| thing.end.map(Value::Time) },
];

fn things() -> [Thing; 3] {
    let end = |seconds| Some(std::time::Duration::from_secs(seconds));
    [
        Thing { name: "demo", state: "running", size: 1, devices: &["cpu"], end: None },
        Thing { name: "demo-2", state: "failed", size: 20, devices: &["cpu", "cuda:0"], end: end(1_000_000_000) },
        Thing { name: "real", state: "running", size: 300, devices: &[], end: end(2_000_000_000) },
    ]
}

fn wanted(filter: &str) -> Vec<&'static str> {
    let filter = Filter::parse(filter, FIELDS).unwrap();
    things().iter().filter(|thing| filter.holds(thing)).map(|thing| thing.name).collect()
}

fn refused(filter: &str) -> String {
    Filter::parse(filter, FIELDS).err().unwrap().to_string()
}

#[test]
fn a_filter_chooses_by_what_fields_hold() {
    for (filter, names) in [
        ("", &["demo", "demo-2", "real"][..]),
        ("state = RUNNING", &["demo", "real"]),
        ("state=STATE_FAILED", &["demo-2"]),
        ("state != running", &["demo-2"]),
        (r#"name : "demo*""#, &["demo", "demo-2"]),
        ("name = demo", &["demo"]),
        ("size >= 20 AND size < 300", &["demo-2"]),
        ("size > 20", &["real"]),
        ("size <= 1 OR size:300", &["demo", "real"]),
        ("NOT state = running", &["demo-2"]),
        ("-name:demo*", &["real"]),
        // OR binds more tightly.
        ("state = failed OR state = running AND size = 1", &["demo"]),
        ("state = failed OR (state = running AND size = 1)", &["demo", "demo-2"]),
        (r#"device : "cuda*""#, &["demo-2"]),
        ("device : cpu", &["demo", "demo-2"]),
        (r#"end_time > "2001-09-09T01:46:40Z""#, &["real"]),
        ("end_time <= 2001-09-09T01:46:40Z", &["demo-2"]),
        (r#"end_time != "2001-09-09T01:46:40Z""#, &["demo", "real"]),
        (r#"name = "de\mo" "#, &["demo"]),
    ] {
        assert_eq!(wanted(filter), names, "{filter}");
    }
}

#[test]
fn a_filter_that_is_wrong_is_refused_where_it_is_wrong() {
    let deep = format!("{}name = a{}", "(".repeat(17), ")".repeat(17));
    let long = format!("name = {}", "a".repeat(3000));
    for (filter, problem) in [
        ("stat = running", "at character 1 `stat` is no field, did you mean `state`? (known here: `name`, `state`,"),
        (
            "size = 1 AND state = runing",
            "at character 22 `runing` is none of `running`, `failed`, did you mean `running`?",
        ),
        ("state > running", "at character 1 `state` is only compared by `=`, `!=` and `:`"),
        ("size = many", "at character 8 `many` is found, expected a whole number"),
        ("end_time > yesterday", "at character 12 `yesterday` is found, expected a time such as"),
        ("demo", "at character 5 expected `=`, `!=`, `<`, `<=`, `>`, `>=` or `:`"),
        ("name = ", "at character 8 expected a word or a text in double quotes"),
        ("name = \"demo", "at character 13 expected `\"` at the end of the text"),
        ("name = a size = 1", "at character 10 expected `AND`, `OR` or the end"),
        ("name = a AND", "at character 13 expected a field, `NOT` or `(`"),
        ("(name = a", "at character 10 expected `)`"),
        ("name = ä AND AND", "at character 14 expected a field, `NOT` or `(`"),
        (&deep, "at character 17 more than 16 parentheses lie within one another"),
        (&long, "has 3007 bytes, expected at most 2048"),
    ] {
        let told = refused(filter);
        assert!(told.contains(problem), "{filter}: {told}");
    }
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused(filter in r#"[a-z_ ()"\\=<>!:*.0-9ANDORTé-]{0,60}"#) {
        let _ = Filter::parse(&filter, FIELDS);
    }
}
