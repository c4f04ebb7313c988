//! `docs/compliance/tcp.md` names tests that exist, and all that are named after an RFC.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The tests of all files below `folder` as `FILE::test`, FILE being the path from `root` without its extension.
fn tests(root: &Path, folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests(root, &path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            let file = path.strip_prefix(root).unwrap().with_extension("").display().to_string();
            for (start, _) in source.match_indices("#[test]") {
                let signature = source[start..].split_once("fn ").expect("a function behind the attribute").1;
                names.insert(format!("{file}::{}", &signature[..signature.find('(').expect("its arguments")]));
            }
        }
    }
}

/// A name of the page may end in a star, which stands for anything.
fn matches(named: &str, test: &str) -> bool {
    named.strip_suffix('*').map_or(named == test, |beginning| test.starts_with(beginning))
}

#[test]
fn the_page_and_the_tests_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut existing = BTreeSet::new();
    tests(&root.join("tests"), &root.join("tests"), &mut existing);
    tests(root, &root.join("src"), &mut existing);
    let workspace = root.join("../..");
    tests(&workspace, &workspace.join("crates/sim/tests"), &mut existing);
    tests(&workspace, &workspace.join("tests/tests"), &mut existing);

    let page = fs::read_to_string(root.join("../../docs/compliance/tcp.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let examples = ["FILE::test", "src/module::test"];
    let named: BTreeSet<&str> = quoted.filter(|name| name.contains("::") && !examples.contains(name)).collect();
    let missing: Vec<_> = named.iter().filter(|name| !existing.iter().any(|test| matches(name, test))).collect();
    assert!(missing.is_empty(), "named in the page, but no test: {missing:#?}");
    let of_a_rule = |test: &&String| test.split("::").last().is_some_and(|name| name.starts_with("rfc_"));
    let unnamed: Vec<_> =
        existing.iter().filter(of_a_rule).filter(|test| !named.iter().any(|name| matches(name, test))).collect();
    assert!(unnamed.is_empty(), "tests of a rule that the page does not name: {unnamed:#?}");
    assert!(existing.len() > 200 && named.len() > 100, "{} tests, {} names", existing.len(), named.len());
}
