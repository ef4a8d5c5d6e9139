//! The house stands: crates depend downwards only, and `unsafe` lives in one of them.
//!
//! Reads what cargo says of the workspace, and the sources; builds nothing. The rules are pure functions, and each has a
//! test in which a made-up house breaks it. Their reasons are in docs/ARCHITECTURE.md.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every crate there may be, with its layer. A seventh below `crates/` must replace one, or argue for itself in
/// `docs/decisions/`, before it gets a line here.
const LAYERS: &[(&str, u8)] = &[
    ("ringmill-linux", 0),
    ("ringmill-shard", 1),
    ("ringmill-proto", 1),
    ("ringmill-stats", 1),
    ("ringmill-service", 2),
    ("ringmill-tune", 2),
    ("ringmill", 3),
    ("ringmill-load", 3),
    ("ringmill-lab", 3),
];

/// They know none of the others: bytes in, meaning out.
const PURE: &[&str] = &["ringmill-proto", "ringmill-stats"];

/// The one crate in which `unsafe` may stand.
const UNSAFE: &str = "ringmill-linux";

/// One crate of the workspace.
struct Crate {
    name: String,
    /// The crates of the workspace that it depends on, its tests and build scripts included.
    needs: Vec<String>,
    /// The first file of each library and program in it.
    roots: Vec<PathBuf>,
    folder: PathBuf,
}

#[test]
fn every_arrow_between_crates_points_down() {
    let house = workspace();
    assert!(house.len() >= 5, "cargo told of {} crates only", house.len());
    let arrows: usize = house.iter().map(|c| c.needs.len()).sum();
    assert!(arrows >= 6, "cargo told of {arrows} arrows only");
    assert_eq!(bad_arrows(&house), Vec::<String>::new());
}

#[test]
fn only_one_crate_may_be_unsafe_and_what_it_offers_is_not() {
    for c in workspace() {
        for root in &c.roots {
            assert_eq!(bad_root(&c.name, &read(root)), None, "{}", root.display());
        }
        for file in sources(&c.folder) {
            assert_eq!(bad_lines(&c.name, &read(&file)), Vec::<String>::new(), "{}", file.display());
        }
    }
}

#[test]
fn an_arrow_that_does_not_point_down_is_found() {
    let check = |from: &str, to: &str, expected: Option<&str>| {
        let found = bad_arrows(&[made_up(from, &[to])]);
        match expected {
            None => assert_eq!(found, Vec::<String>::new(), "{from} -> {to}"),
            Some(why) => assert!(found.len() == 1 && found[0].contains(why), "{from} -> {to}: {found:?}"),
        }
    };
    check("ringmill", "ringmill-service", None);
    check("ringmill-service", "ringmill-linux", None);
    check("ringmill-linux", "ringmill-shard", Some("does not point down"));
    check("ringmill-shard", "ringmill-proto", Some("does not point down"));
    check("ringmill-shard", "ringmill-service", Some("does not point down"));
    check("ringmill-lab", "ringmill-load", Some("does not point down"));
    check("ringmill-proto", "ringmill-linux", Some("is pure"));
    assert!(bad_arrows(&[made_up("ringmill-utils", &[])])[0].contains("has no layer"));
}

#[test]
fn unsafe_in_the_wrong_place_is_found() {
    assert!(bad_root("ringmill-shard", "//! Docs.\npub mod engine;\n").is_some());
    assert_eq!(bad_root("ringmill-shard", "//! Docs.\n#![forbid(unsafe_code)]\n"), None);
    assert_eq!(bad_root(UNSAFE, "//! Docs.\n"), None);
    let check = |name: &str, line: &str, bad: bool| {
        assert_eq!(!bad_lines(name, line).is_empty(), bad, "{name}: {line}");
    };
    check("ringmill-shard", "    let x = unsafe { *p };", true);
    check("ringmill-shard", "    // not unsafe at all", false);
    check("ringmill-shard", "#![forbid(unsafe_code)]", false);
    check(UNSAFE, "        let x = unsafe { *p };", false);
    check(UNSAFE, "unsafe impl Send for Arena {}", false);
    check(UNSAFE, "    unsafe fn private() {}", false);
    check(UNSAFE, "    pub unsafe fn read(&self) {}", true);
    check(UNSAFE, "pub const unsafe fn read() {}", true);
    check(UNSAFE, "pub unsafe trait Plain {}", true);
    check(UNSAFE, "    pub(crate) unsafe fn read() {}", false);
}

fn made_up(name: &str, needs: &[&str]) -> Crate {
    let needs = needs.iter().map(|need| need.to_string()).collect();
    Crate { name: name.into(), needs, roots: Vec::new(), folder: PathBuf::new() }
}

/// What is wrong between the crates, a sentence each.
fn bad_arrows(house: &[Crate]) -> Vec<String> {
    let layer = |name: &str| LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer);
    let mut found = Vec::new();
    for Crate { name, needs, .. } in house {
        let Some(from) = layer(name) else {
            found.push(format!("{name} has no layer: see LAYERS in this file"));
            continue;
        };
        for need in needs {
            if PURE.contains(&name.as_str()) {
                found.push(format!("{name} is pure and depends on {need}"));
            } else if layer(need).is_none_or(|to| to >= from) {
                found.push(format!("{name} -> {need} does not point down"));
            }
        }
    }
    found
}

/// What is wrong with the first file of a library or program.
fn bad_root(name: &str, text: &str) -> Option<&'static str> {
    let forbids = text.lines().any(|line| line == "#![forbid(unsafe_code)]");
    (name != UNSAFE && !forbids).then_some("does not say #![forbid(unsafe_code)]")
}

/// The lines of a source file that have `unsafe` where it must not be. Tests and examples are read too: the attribute
/// of a crate does not reach them.
fn bad_lines(name: &str, text: &str) -> Vec<String> {
    let bad = |line: &&str| {
        // Without what stands between quotes, then without the comment.
        let code: String = line.split('"').step_by(2).collect();
        let code = code.split("//").next().unwrap_or_default();
        if name == UNSAFE { is_public_unsafe(code) } else { words(code).any(|word| word == "unsafe") }
    };
    text.lines().filter(bad).map(str::to_string).collect()
}

/// Whether a line offers something that is unsafe to call or to implement to other crates.
fn is_public_unsafe(code: &str) -> bool {
    let offers = code.trim_start().starts_with("pub ");
    offers && words(code).take_while(|word| !["fn", "trait"].contains(word)).any(|word| word == "unsafe")
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
}

/// The workspace as cargo sees it.
fn workspace() -> Vec<Crate> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let asked = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let told = Command::new(cargo).args(asked).current_dir(here).output().expect("cargo can be started");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).expect("cargo metadata is JSON");
    list(&told["packages"]).map(one_crate).collect()
}

fn one_crate(package: &Value) -> Crate {
    // A path names a crate of this workspace, whatever it is called where it is used.
    let ours = list(&package["dependencies"]).filter(|dependency| dependency["path"].is_string());
    let is_root = |target: &&Value| list(&target["kind"]).any(|kind| kind == "lib" || kind == "bin");
    let roots = list(&package["targets"]).filter(is_root).map(|target| path(&target["src_path"]));
    let folder = path(&package["manifest_path"]);
    Crate {
        name: text(&package["name"]).into(),
        needs: ours.map(|dependency| text(&dependency["name"]).into()).collect(),
        roots: roots.collect(),
        folder: folder.parent().expect("a manifest lies in a folder").into(),
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("cargo metadata has a list here").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has a text here")
}

fn path(value: &Value) -> PathBuf {
    text(value).into()
}

/// The Rust files of a crate. What lies below another manifest (fuzz targets) is another crate.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a crate's folder can be read") {
        let path = entry.expect("a folder's entry can be read").path();
        if path.is_dir() && !path.join("Cargo.toml").exists() {
            found.append(&mut sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}
