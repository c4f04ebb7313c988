//! Replays every saved fuzz input on the stable toolchain.

use std::fs;
use std::path::Path;

use drywire::{Rng, Seed};
use drywire_tests::fuzz::TARGETS;
use drywire_tests::seeds::for_each_seed;

#[test]
fn saved_inputs_break_no_law() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    for (name, body) in TARGETS {
        let mut replayed = 0;
        for folder in ["corpus", "regressions"] {
            let Ok(entries) = fs::read_dir(fuzz.join(folder).join(name)) else { continue };
            let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            for path in paths {
                // Shown only on failure, and then the last line names the input.
                println!("{}", path.display());
                body(&fs::read(&path).unwrap());
                replayed += 1;
            }
        }
        assert!(replayed > 0, "{name} has no saved input");
    }
}

#[test]
fn every_target_has_a_fuzz_binary() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        assert!(fuzz.join(format!("fuzz_targets/{name}.rs")).is_file(), "{name} has no binary");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in fuzz/Cargo.toml");
    }
}

#[test]
fn inputs_of_chance_break_no_law() {
    for_each_seed(500, |seed| {
        let mut rng = Rng::new(&Seed::from(seed));
        let mut input = vec![0; rng.below(400) as usize];
        rng.fill(&mut input);
        for (name, body) in TARGETS {
            std::panic::catch_unwind(|| body(&input)).map_err(|_| format!("{name} fails"))?;
        }
        Ok::<_, String>(())
    });
}
