//! Snapshot and picture of a transition table, compared with the checked-in ones.

use std::fmt::{Debug, Write as _};
use std::path::Path;
use std::sync::Mutex;
use std::{env, fs};

const DOC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/design/client.md");

/// Both tables live in one page.
static PAGE: Mutex<()> = Mutex::new(());

/// Compares the table with its snapshot, and its picture with the block `name` in the design page.
pub(crate) fn check<S, I>(name: &str, states: &[S], inputs: &[I], next: impl Fn(S, I) -> Option<S>)
where
    S: Copy + Debug + PartialEq,
    I: Copy + Debug,
{
    let mut table = String::new();
    let mut picture = String::from("stateDiagram-v2\n");
    writeln!(picture, "    [*] --> {:?}", states[0]).unwrap();
    for state in states {
        for input in inputs {
            let Some(to) = next(*state, *input) else { continue };
            writeln!(table, "{:<11} {:<13} {to:?}", format!("{state:?}"), format!("{input:?}")).unwrap();
            writeln!(picture, "    {state:?} --> {to:?}: {input:?}").unwrap();
        }
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("{name}_transitions"), table);
    });
    check_doc(name, &picture);
}

#[allow(clippy::disallowed_methods, reason = "UPDATE_DOCS is asked of whoever runs the tests, not of the machine")]
fn check_doc(name: &str, picture: &str) {
    let _page = PAGE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let path = Path::new(DOC);
    let doc = fs::read_to_string(path).unwrap();
    let opening = format!("<!-- table: {name} -->\n```mermaid\n");
    let (before, rest) = doc.split_once(&opening).expect("the design page has a block for this table");
    let (current, after) = rest.split_once("```").expect("the block ends");
    if current == picture {
        return;
    }
    assert!(env::var("UPDATE_DOCS").is_ok(), "{DOC} shows another {name} table; run with UPDATE_DOCS=1");
    fs::write(path, format!("{before}{opening}{picture}```{after}")).unwrap();
}
