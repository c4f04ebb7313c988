//! Runs every script of `tests/scripts`.
//!
//! `SCRIPT=window cargo test -p drywire-tests --test scripts every` runs those alone whose path contains `window`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use drywire::tcp::Config;
use drywire_tcp::Rule;
use drywire_tests::script::{Isns, Script, run, run_with};
use proptest::prelude::*;

/// Scripts count from the initial sequence numbers, so wherever these lie must make no difference: in the middle, just
/// before the wrap, and where the sign changes.
const ISNS: [Isns; 3] = [
    Isns { local: 1_000_000, remote: 3_000_000 },
    Isns { local: u32::MAX - 700, remote: u32::MAX - 1500 },
    Isns { local: 0x7fff_ff00, remote: 0x7fff_fffe },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts")
}

/// Every script below `folder`, sorted.
fn scripts(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().flat_map(|path| if path.is_dir() { scripts(&path) } else { vec![path] }).collect()
}

fn play(source: &str, isns: Isns) -> Result<(), String> {
    let script: Script = source.parse().map_err(|error| format!("{error}"))?;
    run(&script, isns).map_err(|failure| failure.to_string())
}

#[test]
fn every_script_passes() {
    #[allow(clippy::disallowed_methods, reason = "a test, not a machine, is told by its environment what to run")]
    let wanted = std::env::var("SCRIPT").unwrap_or_default();
    let mut failures = vec![];
    let mut count = 0;
    for path in scripts(&root()) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        if !name.contains(&wanted) {
            continue;
        }
        count += 1;
        let source = fs::read_to_string(&path).unwrap();
        if let Some(failure) = ISNS.iter().find_map(|isns| play(&source, *isns).err().map(|it| (isns, it))) {
            failures.push(format!("{name}, {:?}\n{}\n", failure.0, failure.1));
        }
    }
    assert!(count > 0, "no script is called like `{wanted}`");
    assert!(failures.is_empty(), "{} of {count} scripts fail:\n{}", failures.len(), failures.join("\n"));
}

/// The comment at the top of a script: the section that it proves, and the rule.
fn rule(source: &str) -> Option<(String, String)> {
    let lines: Vec<&str> = source.lines().map_while(|line| line.strip_prefix("// ")).collect();
    let (section, rule) =
        lines.join(" ").split_once(": ").map(|(section, rule)| (section.to_owned(), rule.to_owned()))?;
    section.starts_with("RFC ").then_some((section, rule))
}

/// `UPDATE_DOCS=1` writes the list anew.
#[test]
fn every_script_begins_with_its_rule_and_is_listed() {
    let mut list = String::from(
        "# TCP: which rule is proven by which script\n\n\
         The scripts are in `tests/scripts`; `docs/design/scripts.md` tells how they run. This list is made from their first\n\
         lines by `cargo test -p drywire-tests --test scripts`, with `UPDATE_DOCS=1` in the environment.\n\n\
         | section | rule | script |\n|---|---|---|\n",
    );
    for path in scripts(&root()) {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let name = name.strip_suffix(".pkt").unwrap_or_else(|| panic!("{name} is no .pkt"));
        let source = fs::read_to_string(&path).unwrap();
        let (section, rule) = rule(&source).unwrap_or_else(|| panic!("{name} does not begin with `// RFC n s: rule`"));
        writeln!(list, "| {section} | {rule} | `{name}` |").unwrap();
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compliance/tcp-scripts.md");
    #[allow(clippy::disallowed_methods, reason = "a test, not a machine, is told by its environment what to do")]
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &list).unwrap();
    }
    assert!(fs::read_to_string(&page).unwrap_or_default() == list, "run with UPDATE_DOCS=1 to list the scripts anew");
}

/// The scripts must be able to fail for the machine's sake, too: each copy that leaves out a rule fails those of that rule.
#[test]
fn a_machine_that_leaves_out_a_rule_fails_its_script() {
    let broken = [
        (Rule::RetransmissionTimer, "retransmission/backs_off"),
        (Rule::ResetSequence, "attack/reset_in_the_window"),
        (Rule::TextOrder, "data/out_of_order"),
        (Rule::KnownText, "data/overlap_with_known"),
        (Rule::FinOrder, "data/fin_behind_a_gap"),
        (Rule::TimeWait, "close/we_first"),
        (Rule::WindowEdge, "window/edge_stays_while_nobody_reads"),
        (Rule::AckRange, "attack/ack_of_what_was_not_sent"),
        (Rule::SynAckNumber, "handshake/wrong_ack_in_syn_sent"),
        (Rule::SilentAck, "data/old_ack_with_new_text"),
    ];
    for (rule, name) in broken {
        let source = fs::read_to_string(root().join(name).with_extension("pkt")).unwrap();
        let script: Script = source.parse().unwrap();
        let config = Config { omit: Some(rule), ..Config::default() };
        assert!(run_with(&config, &script, Isns::default()).is_err(), "{name} does not miss {rule:?}");
    }
}

/// A handshake, 1000 bytes each way, and what is read.
const GOOD: &str = "
0    socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0   setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0   bind(3, {sa_family = AF_INET, sin_port = htons(80), sin_addr = inet_addr(\"192.0.2.1\")}, ...) = 0
+0   listen(3, 1) = 0
+.1  < S 0:0(0) win 65535 <mss 1000>
+0   > S. 0:0(0) ack 1 <mss 1460>
+.1  < . 1:1(0) ack 1 win 65535
+0   accept(3, ..., ...) = 4
+0   write(4, ..., 500) = 500
+0   > P. 1:501(500) ack 1
+.1  < P. 1:1001(1000) ack 501 win 65535
+0~+.1 > . 501:501(0) ack 1001
+0   read(4, ..., 2000) = 1000
+0   %{ assert tcpi_state == TCP_ESTABLISHED }%
";

#[test]
fn a_script_fails_where_what_happens_differs() {
    play(GOOD, Isns::default()).unwrap();
    let wrong = [
        ("> S. 0:0(0) ack 1", "> S. 0:0(0) ack 2", "acknowledgment"),
        ("> S. 0:0(0) ack 1", "> S 0:0(0)", "flags, acknowledgment"),
        ("<mss 1460>", "<mss 1461>", "options"),
        ("<mss 1460>", "<mss 1460,nop,nop,sackOK>", "options"),
        ("> P. 1:501(500)", "> P. 2:502(500)", "sequence number"),
        ("> P. 1:501(500)", "> P. 1:500(499)", "length"),
        ("> P. 1:501(500) ack 1", "> P. 1:501(500) ack 1 win 7", "window"),
        ("+0   > P. 1:501", "+.01 > P. 1:501", "time"),
        ("+0   > P. 1:501(500) ack 1\n", "", "not expected"),
        ("accept(3, ..., ...) = 4", "accept(3, ..., ...) = 5", "accept returns 4, expected 5"),
        ("read(4, ..., 2000) = 1000", "read(4, ..., 2000) = 999", "read returns 1000, expected 999"),
        ("write(4, ..., 500) = 500", "write(4, ..., 500) = -1 EPIPE", "write returns 500, expected -1 EPIPE"),
        ("== TCP_ESTABLISHED", "== TCP_CLOSE", "tcpi_state is 1, TCP_CLOSE is 7"),
        ("== TCP_ESTABLISHED", "== tcpi_nonsense", "`tcpi_nonsense` has no value"),
        ("read(4, ..., 2000)", "read(9, ..., 2000)", "no socket 9"),
        ("listen(3, 1)", "listen(3)", "no call `listen` with such arguments"),
        ("\n0    socket", "\n--colour=1\n0    socket", "no setting `colour`"),
    ];
    for (right, changed, reason) in wrong {
        let source = GOOD.replacen(right, changed, 1);
        assert_ne!(source, GOOD, "{right}");
        let failure = play(&source, Isns::default()).expect_err(changed);
        assert!(failure.contains(reason), "{changed}: {failure}");
        let line = 1 + GOOD[..GOOD.find(right).unwrap()].matches('\n').count();
        let said: usize = failure["line ".len()..].split(':').next().unwrap().parse().unwrap();
        assert!((line..=line + 1).contains(&said), "{changed} is in line {line}: {failure}");
    }
}

#[test]
fn what_leaves_behind_the_last_line_is_a_failure() {
    let end = GOOD.find("+0~+.1 >").unwrap();
    let failure = play(&GOOD[..end], Isns::default()).unwrap_err();
    assert!(failure.contains("not expected"), "{failure}");
}

#[test]
fn a_failure_shows_the_last_packets() {
    let failure = play(&GOOD.replace("2000) = 1000", "2000) = 1"), Isns::default()).unwrap_err();
    let packets: Vec<&str> = failure.lines().skip_while(|line| *line != "the last packets:").skip(1).collect();
    assert_eq!(packets[0], "  0.1 < S 0:0(0) win 65535 <mss 1000>");
    assert!(packets[3].starts_with("  0.2 > P. 1:501(500) ack 1 win "), "{failure}");
    assert_eq!(packets.len(), 6, "{failure}");
}

#[test]
fn a_call_that_blocks_returns_when_the_script_says() {
    let blocking = |end: &str| {
        format!(
            "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n\
             +0...{end} connect(3, ..., ...) = 0\n\
             +0 > S 0:0(0) <...>\n\
             +.1 < S. 0:0(0) ack 1 win 1000 <mss 1000>\n\
             +0 > . 1:1(0) ack 1\n"
        )
    };
    play(&blocking(".1"), Isns::default()).unwrap();
    assert!(play(&blocking(".05"), Isns::default()).unwrap_err().starts_with("line 2: connect returns at 0.1"));
    assert!(play(&blocking(".3"), Isns::default()).unwrap_err().starts_with("line 2: connect returns at 0.1"));
    let unanswered = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+0...5 accept(3, ..., ...) = 0";
    assert!(play(unanswered, Isns::default()).unwrap_err().starts_with("line 2: accept returns"));
}

#[test]
fn a_tolerance_lets_times_be_off() {
    let late = GOOD.replace("+0   > P. 1:501", "+.01 > P. 1:501");
    assert!(play(&late, Isns::default()).is_err());
    play(&format!("--tolerance_usecs=10000{late}"), Isns::default()).unwrap();
}

#[test]
fn mistakes_in_the_text_have_their_line() {
    for (text, message) in [
        ("+0 > S. 0:1(0) ack 1", "0:1 is not 0 bytes long"),
        ("+0 > S. 0:0(0)", "`.` and `ack` go together"),
        ("+0 > S 0:0(0) ack 1", "`.` and `ack` go together"),
        ("+0 < X 0:0(0)", "expected flags"),
        ("+0 < S 0:0(0) win 65536", "expected a window"),
        ("+0 < S 0:0(0) <mss>", "expected a size"),
        ("+0 < S 0:0(0) <mss 1", "expected `>`"),
        ("+0 < S 0:0(0) <colour 1>", "`colour` is no option"),
        ("+0 < [red] S 0:0(0)", "`red` is no ECN mark"),
        ("* < S 0:0(0)", "only a packet that is expected"),
        ("+1~+.5 > S 0:0(0)", "the range ends before it begins"),
        ("+0 close(3)", "expected `=`"),
        ("+0 close(3 = 0", "expected `)`"),
        ("+0 %{ }%", "nothing is asserted"),
        ("+0 %{ assert }%", "expected a name or a number"),
        ("S 0:0(0)", "expected a time"),
        ("+0", "expected a packet, a system call or an assertion"),
        ("`ls`", "expected a time"),
    ] {
        let error = format!("// a comment\n\n{text}").parse::<Script>().expect_err(text);
        assert_eq!(error.line(), 3, "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
}

proptest! {
    /// Words of the language in any order, and any other text: an error or a script, and never a panic.
    #[test]
    fn no_text_makes_the_parser_or_the_runner_panic(
        words in prop::collection::vec(
            prop_oneof![
                any::<String>(),
                prop::sample::select(vec![
                    "0", "+", ".1", "1", "*", "~", "<", ">", "S", ".", "F.", "0:0(0)", "1:1001(1000)", "ack 1", "win 9",
                    "<mss 1>", "<...>", "sack", "TS val 1 ecr 1", "socket(..., SOCK_STREAM, 0) = 3", "connect(3, ..., ...)",
                    "= -1 EINPROGRESS", "read(3, ..., 1) = 1", "close(3) = 0", "%{ assert 1 }%", "%{", "}%", "/*", "//", "\n",
                    "fcntl(3, F_SETFL, O_NONBLOCK) = 0", "[ect0]", "icmp", "...", "--mss=1",
                ]).prop_map(str::to_owned),
            ],
            0..40,
        ),
    ) {
        let text = words.join(" ");
        if let Ok(script) = text.parse::<Script>() {
            let _ = run(&script, Isns::default());
        }
    }
}
