//! `docs/compliance/http.md` names tests that exist, and all that are named after an RFC or a standard; its table of inputs names
//! cases of the corpus, whose outcome is the answer that stands there. `http-advisories.md` names all tests of `advisories.rs`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of all test functions in a file, or in the files below a folder.
fn tests(path: &Path, names: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            tests(&entry.unwrap().path(), names);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let source = fs::read_to_string(path).unwrap();
        for (start, _) in source.match_indices("#[test]") {
            let signature = source[start..].split_once("fn ").expect("a function behind the attribute").1;
            names.insert(signature[..signature.find('(').expect("its arguments")].into());
        }
    }
}

fn read(page: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compliance").join(page)).unwrap()
}

/// What stands between backquotes in a page and looks like the name of a test: types and fields have shorter ones.
fn named(page: &str) -> BTreeSet<String> {
    let page = read(page);
    let quoted = page.split('`').skip(1).step_by(2);
    quoted.filter(|name| name.matches('_').count() >= 3 && !name.contains('/')).map(String::from).collect()
}

#[test]
fn the_page_of_advisories_and_its_tests_agree() {
    let mut existing = BTreeSet::new();
    tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/advisories.rs"), &mut existing);
    assert_eq!(named("http-advisories.md"), existing);
}

#[test]
fn the_page_and_the_tests_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut existing = BTreeSet::new();
    tests(&root.join("src"), &mut existing);
    tests(&root.join("tests"), &mut existing);

    let named = named("http.md");
    let missing: Vec<_> = named.difference(&existing).collect();
    assert!(missing.is_empty(), "named in the page, but no test: {missing:#?}");
    let unnamed: Vec<_> = existing
        .iter()
        .filter(|name| ["rfc", "html", "fetch"].iter().any(|source| name.starts_with(source)) && !named.contains(*name))
        .collect();
    assert!(unnamed.is_empty(), "tests of a rule that the page does not name: {unnamed:#?}");
}

/// The block of a case in the corpus, named `file: title`.
fn case(name: &str) -> Option<String> {
    let (file, title) = name.split_once(": ")?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(file).with_extension("txt");
    let text = fs::read_to_string(path).ok()?;
    let block = text.split("\n\n").find(|block| block.lines().any(|line| line.strip_prefix("== ") == Some(title)));
    block.map(str::to_owned)
}

/// Whether the outcome of a case is the answer of its row, which begins with a status, `error`, `closes` or `refused`, or accepts.
fn is_answer(answer: &str, case: &str) -> bool {
    let has = |start: &str| case.lines().any(|line| line.starts_with(start));
    // A client has nobody to send a status to.
    let is_client = has("client ");
    match answer.split([' ', ',']).next().unwrap_or_default() {
        "error" => has("error ") && has("closes"),
        "closes" => has("closes"),
        "refused" => has("refused "),
        status if status.parse::<u16>().is_ok() => {
            has("error ") && has("closes") && (is_client || has(&format!("sent {status}")))
        }
        _ => !has("error ") && !has("refused "),
    }
}

/// The rows of the table of three columns in a section of the page.
fn rows<'a>(page: &'a str, section: &str) -> Vec<[&'a str; 3]> {
    let section = page.split_once(section).unwrap().1.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    cells.filter_map(|cells| cells.try_into().ok()).collect()
}

/// Every case that a cell names has this answer, and there is one.
fn check(what: &str, answer: &str, cases: &str) {
    let names: Vec<_> = cases.split('`').skip(1).step_by(2).filter(|name| name.contains(": ")).collect();
    assert!(!names.is_empty(), "{what}: no case");
    for name in names {
        let case = case(name).unwrap_or_else(|| panic!("{what}: no case {name:?} in the corpus"));
        assert!(is_answer(answer, &case), "{what}: {answer} is not what comes of\n{case}");
    }
}

#[test]
fn every_input_of_the_page_has_its_answer_in_the_corpus() {
    let page = read("http.md");
    let inputs = rows(&page, "## Strictness");
    assert!(inputs.len() >= 50, "{} rows", inputs.len());
    for [input, answer, cases] in inputs {
        check(input, answer, cases);
    }
}

#[test]
fn every_limit_of_the_page_is_reached_and_exceeded_in_the_corpus() {
    let page = read("http.md");
    let limits = rows(&page, "## Limits and timers");
    assert!(limits.len() >= 12, "{} rows", limits.len());
    for [limit, reached, beyond] in limits {
        check(limit, "accepted", reached);
        // What is not worth dropping is no error: the connection closes behind the response.
        let answer = if limit == "`drain_limit`" { "closes" } else { "error" };
        check(limit, answer, beyond);
    }
}
