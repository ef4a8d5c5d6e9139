//! The configuration file: TOML with the names of the flags as keys. Read with the place of every mistake, and written
//! by `--print-config` so that it can be read back.
//!
//! Walks the parsed document by the catalogue in `knobs.rs` rather than by a derived struct: so a wrong value, too, is
//! reported by its own line and column, and a new knob is a key of the file by being in the table.

use std::fmt::{Display, Write};
use std::fs;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::Config;
use crate::knobs::{Field, KNOBS, Knob};
use linux::console::Failure;

/// Reads the file at `path` over `config`. Errors: `PATH:LINE:COLUMN: what is wrong`.
pub(crate) fn read(path: &Path, config: &mut Config) -> Result<(), Failure> {
    let name = path.display().to_string();
    let wrong = |why: &dyn Display| {
        Failure::usage(format!("{name}: {why}")).cure("`--config FILE` with a file that can be read")
    };
    // Opening a pipe that nobody writes to would wait for ever.
    if fs::metadata(path).map_err(|why| wrong(&why))?.is_file() {
        let text = fs::read_to_string(path).map_err(|why| wrong(&why))?;
        parse(&name, &text, config)
    } else {
        Err(wrong(&"this is no regular file"))
    }
}

/// Reads `text`, which is called `name` in errors, over `config`.
fn parse(name: &str, text: &str, config: &mut Config) -> Result<(), Failure> {
    let wrong = |mistake: Mistake| {
        let (line, column) = position(text, mistake.at);
        Failure::usage(format!("{name}:{line}:{column}: {}", mistake.what)).cure(mistake.cure)
    };
    let document = DeTable::parse(text).map_err(|error| wrong(Mistake::of_syntax(&error)))?;
    // The table is sorted by key; people look for the first mistake from the top.
    let mut entries: Vec<_> = document.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        set(key, value, config).map_err(&wrong)?;
    }
    Ok(())
}

/// What is wrong, and the byte at which it begins.
struct Mistake {
    at: usize,
    what: String,
    cure: String,
}

impl Mistake {
    fn at(span: Range<usize>, what: impl Into<String>) -> Mistake {
        Mistake {
            at: span.start,
            what: what.into(),
            cure: "`ringmill --help` for what each key takes".into(),
        }
    }

    fn of_syntax(error: &toml::de::Error) -> Mistake {
        let what = error.message().replace('\n', ", ");
        let cure = "a file as `ringmill --print-config` writes it".into();
        Mistake { at: error.span().map_or(0, |span| span.start), what, cure }
    }
}

fn set(
    key: &Spanned<impl AsRef<str>>,
    value: &Spanned<DeValue<'_>>,
    config: &mut Config,
) -> Result<(), Mistake> {
    let name = key.get_ref().as_ref();
    let Some(knob) = Knob::named(name) else {
        let cure = match Knob::meant(name) {
            Some(meant) => format!("`{meant}`"),
            None => "`ringmill --print-config` for every key there is".to_string(),
        };
        let what = format!("unknown key `{name}`");
        return Err(Mistake { at: key.span().start, what, cure });
    };
    let mut field = (knob.field)(config);
    let Field::Words(words) = &mut field else {
        let word = word(value, &field).map_err(|expected| expected_for(name, value, expected))?;
        return field.read(&word).map_err(|why| Mistake::at(value.span(), format!("`{name}`: {why}")));
    };
    let DeValue::Array(items) = value.get_ref() else {
        return Err(expected_for(name, value, "a list of strings"));
    };
    words.clear();
    for item in items.iter() {
        let DeValue::String(text) = item.get_ref() else {
            return Err(expected_for(name, item, "a list of strings"));
        };
        words.add(text).map_err(|why| Mistake::at(item.span(), format!("`{name}`: {why}")))?;
    }
    Ok(())
}

/// The value as the word that the field reads. Errors: the type that it would have taken.
fn word(value: &Spanned<DeValue<'_>>, field: &Field<'_>) -> Result<String, &'static str> {
    match (value.get_ref(), field) {
        (DeValue::Integer(number), Field::Number(..) | Field::Word(_)) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            read.map(|number| number.to_string()).map_err(|_| "a number of 64 bits")
        }
        (DeValue::Boolean(switch), Field::Switch(_)) => Ok(switch.to_string()),
        (DeValue::String(text), Field::Word(_) | Field::File(_)) => Ok(text.to_string()),
        (_, Field::Number(..)) => Err("a number"),
        (_, Field::Switch(_)) => Err("true or false"),
        (_, Field::Word(_) | Field::File(_) | Field::Words(_)) => Err("a string"),
    }
}

fn expected_for(name: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Mistake {
    let what = format!("`{name}` takes {expected}, not {}", value.get_ref().type_str());
    Mistake::at(value.span(), what)
}

/// Line and column of the byte `at`, both from 1; the column counts characters, as editors do.
fn position(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rfind(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// The configuration as a file that reads back as itself, with a comment on every key.
pub(crate) fn print(config: &Config) -> String {
    let mut config = config.clone();
    let mut text = String::from("# Every setting of ringmill. Flags of the same names override this file.\n");
    for knob in KNOBS {
        let field = (knob.field)(&mut config);
        let words = field.show();
        let quoted: Vec<String> =
            words.iter().map(|word| toml::Value::from(word.as_str()).to_string()).collect();
        let line = match &field {
            Field::Number(..) | Field::Switch(_) => format!("{} = {}", knob.name, words.concat()),
            Field::Words(_) => format!("{} = [{}]", knob.name, quoted.join(", ")),
            Field::File(None) => format!("# {} = \"{}\"", knob.name, knob.value),
            Field::Word(_) | Field::File(Some(_)) => format!("{} = {}", knob.name, quoted.concat()),
        };
        write!(text, "\n# {}.\n# {}\n{line}\n", knob.what, knob.bounds())
            .expect("writing to a String cannot fail");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let mut config = Config::default();
        parse("test.toml", text, &mut config).unwrap_or_else(|failure| panic!("{failure}"));
        config
    }

    fn check_wrong(text: &str, expected: &str) {
        let failure = parse("test.toml", text, &mut Config::default()).expect_err(text).to_string();
        assert!(failure.starts_with(&format!("test.toml:{expected}")), "{text}: {failure}");
    }

    #[test]
    fn keys_change_what_they_name_and_nothing_else() {
        let got = config(
            "listen = ['echo://[::1]:7', 'admin://127.0.0.1:0']\nshards = 2\ncores = '0,2-3'\nhuge-pages = true\n\
             zero-copy-bytes = 65_536\nreport = 'end.json'\nrecv-buffers = '64x4KiB'\n",
        );
        let urls: Vec<String> = got.listen.iter().map(|url| url.to_string()).collect();
        assert_eq!(urls, ["echo://[::1]:7", "admin://127.0.0.1:0"]);
        assert_eq!((got.shards.to_string(), got.cores.to_string()), ("2".into(), "0,2-3".into()));
        assert_eq!((got.huge_pages, got.zero_copy.to_string()), (true, "65536".into()));
        assert_eq!(got.report.as_deref(), Some(Path::new("end.json")));
        let default = Config::default();
        assert_eq!((got.drain_ms, got.backlog, got.name), (default.drain_ms, default.backlog, default.name));
        assert_eq!(config(""), Config::default());
    }

    #[test]
    fn a_mistake_is_reported_by_line_and_column() {
        check_wrong("spin-us = 1\ndrian-ms = 5\n", "2:1: unknown key `drian-ms`. Try `drain-ms`.");
        check_wrong("threads = 5", "1:1: unknown key `threads`. Try `ringmill --print-config`");
        check_wrong("spin-us = 1\n\n  drain-ms = 'soon'", "3:14: `drain-ms` takes a number, not string");
        check_wrong("spin-us = 2000000", "1:11: `spin-us`: `2000000`: expected 0 to 1000000");
        check_wrong("spin-us = -1", "1:11: `spin-us`: `-1`: expected 0 to 1000000");
        check_wrong("huge-pages = 1", "1:14: `huge-pages` takes true or false, not integer");
        check_wrong("listen = 'http://127.0.0.1:1'", "1:10: `listen` takes a list of strings, not string");
        check_wrong(
            "listen = ['http://127.0.0.1:1',\n  'http://127.0.0.1']",
            "2:3: `listen`: `127.0.0.1` is no address",
        );
        check_wrong("name = ['a', 5]", "1:14: `name` takes a list of strings, not integer");
        check_wrong("cores = '5-2'", "1:9: `cores`: `5-2` is not a list of cores");
        check_wrong("engine = 'kqueue'", "1:10: `engine`: `kqueue` is no engine");
        check_wrong("[server]\nspin-us = 1", "1:2: unknown key `server`");
        check_wrong("spin-us = 1\nspin-us = 2", "2:1: duplicate key");
        check_wrong("spin-us = \n", "1:11: ");
        check_wrong("# ä\nname = ['ä', 'é é']", "2:9: `name`: `ä` is no host name");
    }

    #[test]
    fn the_first_mistake_from_the_top_is_the_one_reported() {
        check_wrong("zzz = 1\naaa = 1\n", "1:1: unknown key `zzz`");
    }

    #[test]
    fn a_printed_configuration_reads_back_as_itself() {
        for text in [
            "",
            "listen = ['relay://[::]:7?to=10.0.0.1:80&form=task']\nname = ['a.example', 'b']\nadmin-public = true\n\
             cores = 'physical'\nshards = 3\nzero-copy-bytes = 'off'\nreport = '/tmp/a \"b\".json'\nidle-timeout-ms = 9",
        ] {
            let once = config(text);
            assert_eq!(config(&print(&once)), once);
        }
    }
}
