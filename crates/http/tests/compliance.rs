//! `docs/compliance/http.md` names tests that exist, and all that are named after an RFC.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of all test functions below `folder`.
fn tests(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            for (start, _) in source.match_indices("#[test]") {
                let signature = source[start..].split_once("fn ").expect("a function behind the attribute").1;
                names.insert(signature[..signature.find('(').expect("its arguments")].into());
            }
        }
    }
}

#[test]
fn the_page_and_the_tests_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut existing = BTreeSet::new();
    tests(&root.join("src"), &mut existing);
    tests(&root.join("tests"), &mut existing);

    let page = fs::read_to_string(root.join("../../docs/compliance/http.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    // Test names are long; types and fields in the text are not.
    let named: BTreeSet<String> =
        quoted.filter(|name| name.matches('_').count() >= 3 && !name.contains('/')).map(String::from).collect();
    let missing: Vec<_> = named.difference(&existing).collect();
    assert!(missing.is_empty(), "named in the page, but no test: {missing:#?}");
    let unnamed: Vec<_> = existing.iter().filter(|name| name.starts_with("rfc") && !named.contains(*name)).collect();
    assert!(unnamed.is_empty(), "tests of a rule that the page does not name: {unnamed:#?}");
}
