//! `docs/compliance/client.md` names tests that exist, and all that are named after an RFC.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of all functions in the sources at or below `path`.
fn functions(path: &Path, names: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            functions(&entry.unwrap().path(), names);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        for piece in fs::read_to_string(path).unwrap().split("fn ").skip(1) {
            names.extend(piece.split(['(', '<']).next().map(str::to_owned));
        }
    }
}

#[test]
fn the_page_and_the_tests_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut existing = BTreeSet::new();
    for path in ["src", "tests", "../tokio/tests/http_client.rs", "../std/tests/http_client.rs"] {
        functions(&root.join(path), &mut existing);
    }
    let page = fs::read_to_string(root.join("../../docs/compliance/client.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    // Test names are long; fields in the text are not, and paths are no names.
    let named: BTreeSet<String> =
        quoted.filter(|name| name.matches('_').count() >= 3 && !name.contains('/')).map(String::from).collect();
    let missing: Vec<_> = named.difference(&existing).collect();
    assert!(missing.is_empty(), "named in the page, but no test: {missing:#?}");
    let unnamed: Vec<_> = existing.iter().filter(|name| name.starts_with("rfc") && !named.contains(*name)).collect();
    assert!(unnamed.is_empty(), "tests of a rule that the page does not name: {unnamed:#?}");
}
