//! `docs/compliance/http.md` names tests that exist, and all that are named after an RFC or a standard; `http-advisories.md` names all
//! tests of `advisories.rs`.

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

/// What stands between backquotes in a page and looks like the name of a test: types and fields have shorter ones.
fn named(page: &str) -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compliance").join(page);
    let page = fs::read_to_string(page).unwrap();
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
