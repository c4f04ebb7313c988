//! The corpus: what the machines make of several hundred inputs, in text files that are meant to be read.
//!
//! Every input is run whole, cut in two at every position, and byte by byte; the outcome has to be the written one each
//! time. `UPDATE_CORPUS=1` writes the outcomes anew and leaves everything else as it is: read the difference against the
//! RFC before it is kept.
//!
//! ```text
//! # A comment, which belongs to the case behind it.
//! == the name of the case
//! server                      the role, and what the application does; see `run.rs`
//! limit max_fields 2          a limit of its own
//! lenient BARE_LF             switches of the lenient profile
//! > GET / HTTP/1.1\r\n        input: \r \n \t \0 \\ \xNN, and no line end but the written ones
//! 300> X: y\r\n               so many times
//! > EOF                       the peer ends its direction
//! > WAIT                      the next deadline passes
//! request GET / HTTP/1.1      from here on the outcome
//!     Host: a
//! ```

mod case;
mod run;
mod write;

use std::fs;
use std::path::{Path, PathBuf};

use case::{Case, File};

/// The corpus files, in order of their names.
fn paths() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "txt")).collect();
    paths.sort();
    paths
}

/// The outcome of a case, the same however it is cut.
fn outcome(case: &Case) -> Vec<String> {
    if case.role.starts_with("writes ") {
        return write::outcome(case);
    }
    let bytes = case.bytes();
    let whole = run::outcome(case, &[&bytes]);
    for at in positions(bytes.len()) {
        let (front, back) = bytes.split_at(at);
        assert_eq!(run::outcome(case, &[front, back]), whole, "{}: cut at {at}", case.name);
    }
    let single: Vec<_> = bytes.chunks(1).collect();
    assert_eq!(run::outcome(case, &single), whole, "{}: byte by byte", case.name);
    shortened(&whole)
}

/// Many equal lines in a row as one.
fn shortened(lines: &[String]) -> Vec<String> {
    let runs = lines.chunk_by(|one, other| one == other);
    runs.flat_map(|run| match run {
        [line, _, _, _, ..] => vec![format!("{line} ({} times)", run.len())],
        _ => run.to_vec(),
    })
    .collect()
}

/// Every position to cut at; in a long input some hundred.
fn positions(len: usize) -> impl Iterator<Item = usize> {
    (1..len).step_by((len / 300).max(1))
}

#[test]
fn every_case_has_the_written_outcome() {
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    let mut cases = 0;
    let mut wrong = Vec::new();
    for path in paths() {
        let mut file = File::parse(&fs::read_to_string(&path).unwrap());
        for case in &mut file.cases {
            cases += 1;
            let outcome = outcome(case);
            if outcome != case.outcome {
                let name = path.file_name().unwrap().display();
                wrong.push(format!(
                    "{name}: {}\n  {}\nis not\n  {}",
                    case.name,
                    outcome.join("\n  "),
                    case.outcome.join("\n  ")
                ));
                case.outcome = outcome;
            }
        }
        if update {
            fs::write(&path, file.to_string()).unwrap();
        }
    }
    assert!(update || wrong.is_empty(), "{} of {cases} differ:\n\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(cases >= 400, "the corpus has only {cases} cases");
}

#[test]
fn every_file_is_as_it_would_be_written_and_names_are_unique() {
    for path in paths() {
        let mut names = std::collections::BTreeSet::new();
        let text = fs::read_to_string(&path).unwrap();
        let file = File::parse(&text);
        assert!(file.to_string() == text, "{} is not as UPDATE_CORPUS=1 writes it", path.display());
        for case in file.cases {
            assert!(names.insert(case.name.clone()), "{}: {} comes twice", path.display(), case.name);
        }
    }
}
