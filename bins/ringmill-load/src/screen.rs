//! `run --tui`: a load on the whole terminal, drawn anew after each step.
//!
//! Shows what the series has, and the distribution of each step as a column of a heat map. Draws and reads keys; measures nothing.

use std::collections::VecDeque;
use std::sync::mpsc::Sender;
use std::thread;

use linux::console::Failure;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};
use ratatui::{DefaultTerminal, Frame};
use stats::interval::Interval;
use stats::outcome::{Asked, Step};
use stats::text;

use crate::wire::News;

/// The view and the terminal that it is on.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: DefaultTerminal,
    view: View,
}

impl Screen {
    /// Takes the terminal. A key that means the end (q, Esc, Ctrl-C) is told to `news`. Errors: there is no terminal to take.
    pub(crate) fn open(asked: &Asked, news: Sender<News>) -> Result<Screen, Failure> {
        let terminal = ratatui::try_init().map_err(|why| Failure::runtime(format!("--tui: {why}")))?;
        thread::spawn(move || {
            // Until the terminal or the listener has gone, which is the end of the program.
            while let Ok(event) = event::read() {
                if is_end(&event) && news.send(News::Stop).is_err() {
                    return;
                }
            }
        });
        Ok(Screen { terminal, view: View::new(asked) })
    }

    /// Something goes on that is not measured.
    pub(crate) fn say(&mut self, what: &str) {
        what.clone_into(&mut self.view.doing);
        self.draw();
    }

    /// A step was measured; `errors` so far.
    pub(crate) fn step(&mut self, whole: &Interval, step: &Step, errors: u64) {
        self.view.add(whole, step, errors);
        self.draw();
    }

    /// Gives the terminal back as it was.
    pub(crate) fn close(&mut self) {
        ratatui::restore();
    }

    fn draw(&mut self) {
        // A terminal that cannot be drawn on is no reason to end a load.
        let _ = self.terminal.draw(|frame| self.view.draw(frame));
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

/// Raw mode makes a key of Ctrl-C, which is a signal elsewhere.
fn is_end(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

/// What is shown.
#[derive(Debug)]
struct View {
    title: String,
    duration_ns: u64,
    doing: String,
    errors: u64,
    steps: VecDeque<Step>,
    /// Of each step, how many samples lie in each row of the heat map, the fastest first.
    heat: VecDeque<[u64; ROWS]>,
}

impl View {
    fn new(asked: &Asked) -> View {
        let pace = format!("{} {}", asked.arrivals, asked.schedule);
        View {
            title: format!(
                " {}  {}  {} connections ",
                asked.url,
                pace.trim_end(),
                text::count(asked.connections)
            ),
            duration_ns: asked.duration_ns,
            doing: String::new(),
            errors: 0,
            steps: VecDeque::new(),
            heat: VecDeque::new(),
        }
    }

    fn add(&mut self, whole: &Interval, step: &Step, errors: u64) {
        if self.steps.len() == STEPS_MAX {
            self.steps.pop_front();
            self.heat.pop_front();
        }
        let mut rows = [0; ROWS];
        for bucket in whole.response.iter_recorded() {
            rows[row(bucket.value_iterated_to())] += bucket.count_at_value();
        }
        self.steps.push_back(*step);
        self.heat.push_back(rows);
        self.errors = errors;
        self.doing.clear();
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        let rows = [Constraint::Length(3), Constraint::Fill(1), Constraint::Fill(1), Constraint::Length(3)];
        let [head, charts, heat, lag] = Layout::vertical(rows).areas(frame.area());
        let [rate, times] = Layout::horizontal([Constraint::Fill(1); 2]).areas(charts);
        self.draw_head(frame, head);
        self.draw_rate(frame, rate);
        self.draw_times(frame, times);
        self.draw_heat(frame, heat);
        self.draw_lag(frame, lag);
    }

    fn draw_head(&self, frame: &mut Frame<'_>, area: Rect) {
        let figures = match self.steps.back() {
            Some(step) if self.doing.is_empty() => {
                let time = |ns: Option<u64>| ns.map_or("-".into(), |ns| text::duration(ns as f64));
                format!(
                    "{} of {}   {}   p50 {}   p99 {}   p99.9 {}   errors {}",
                    text::duration(step.to_ns as f64),
                    text::duration(self.duration_ns as f64),
                    text::rate(per_s(step)),
                    time(step.p50_ns),
                    time(step.p99_ns),
                    time(step.p99_9_ns),
                    text::count(self.errors),
                )
            }
            _ => self.doing.clone(),
        };
        let block =
            Block::bordered().title(self.title.as_str()).title_bottom(" q ends and shows the result ");
        frame.render_widget(Paragraph::new(figures).block(block), area);
    }

    fn draw_rate(&self, frame: &mut Frame<'_>, area: Rect) {
        let points: Vec<(f64, f64)> = self.steps.iter().map(|step| (seconds(step), per_s(step))).collect();
        let most = points.iter().fold(1.0, |most: f64, (_, per_s)| most.max(*per_s));
        let most = round_above(most);
        let labels = [0.0, most / 2.0, most].map(text::rate);
        let axis = Axis::default().bounds([0.0, most]).labels(labels);
        self.draw_lines(frame, area, " answers a second ", axis, &[("", Color::Green, &points)]);
    }

    fn draw_times(&self, frame: &mut Frame<'_>, area: Rect) {
        let points = |figure: fn(&Step) -> Option<u64>| -> Vec<(f64, f64)> {
            let log = |step: &Step| Some((seconds(step), (figure(step)?.max(1) as f64).log10()));
            self.steps.iter().filter_map(log).collect()
        };
        let (p50, p99) = (points(|step| step.p50_ns), points(|step| step.p99_ns));
        let all = p50.iter().chain(&p99).map(|(_, log)| *log);
        let (least, most) = all.fold((9.0, 3.0), |(a, b): (f64, f64), log| (a.min(log), b.max(log)));
        let (least, most) = if least > most { (3.0, 9.0) } else { (least.floor(), (most + 0.01).ceil()) };
        // An even number of decades, so that the label in the middle is a round one too.
        let most = if (most - least) % 2.0 == 0.0 { most } else { most + 1.0 };
        let labels = [least, (least + most) / 2.0, most].map(|log| text::duration(10f64.powf(log)));
        let axis = Axis::default().bounds([least, most]).labels(labels);
        let lines = [("p50", Color::Cyan, &p50[..]), ("p99", Color::Yellow, &p99[..])];
        self.draw_lines(frame, area, " response, p50 and p99 ", axis, &lines);
    }

    fn draw_lines(&self, frame: &mut Frame<'_>, area: Rect, title: &str, y: Axis<'_>, lines: &[Line<'_>]) {
        let from = self.steps.front().map_or(0.0, |step| step.from_ns as f64 / 1e9);
        let to = self.steps.back().map_or(1.0, seconds).max(from + 1e-3);
        let labels = [from, to].map(|seconds| text::duration(seconds * 1e9));
        let sets = lines.iter().map(|(name, color, points)| {
            let set = Dataset::default().name(*name).data(points).style(Style::new().fg(*color));
            set.marker(Marker::Braille).graph_type(GraphType::Line)
        });
        let chart = Chart::new(sets.collect()).block(Block::bordered().title(title)).y_axis(y);
        frame.render_widget(chart.x_axis(Axis::default().bounds([from, to]).labels(labels)), area);
    }

    /// A column for each step, the newest at the right; a row for each doubling of the response time, the slowest at the top.
    fn draw_heat(&self, frame: &mut Frame<'_>, area: Rect) {
        let block = Block::bordered().title(" response time of each step: the brighter, the more ");
        let inner = block.inner(area);
        frame.render_widget(block, area);
        let used = |index: &usize| self.heat.iter().any(|rows| rows[*index] > 0);
        let (Some(first), Some(last)) = ((0..ROWS).find(used), (0..ROWS).rfind(used)) else { return };
        let (wide, high) = (inner.width.saturating_sub(LABEL), inner.height);
        let first = first.max((last + 1).saturating_sub(high.into()));
        for (y, index) in (first..=last).rev().enumerate() {
            let y = inner.y + y as u16;
            let label =
                format!("{:>width$} ", text::duration(floor_ns(index)), width = usize::from(LABEL) - 1);
            frame.buffer_mut().set_string(inner.x, y, label, Style::new());
            for (back, rows) in self.heat.iter().rev().take(wide.into()).enumerate() {
                let sum = rows.iter().sum::<u64>().max(1);
                let x = inner.right() - 1 - back as u16;
                frame.buffer_mut()[(x, y)].set_bg(color(rows[index] as f64 / sum as f64));
            }
        }
    }

    /// The generator's own error, from 1 us to 1 ms.
    fn draw_lag(&self, frame: &mut Frame<'_>, area: Rect) {
        let lag_ns = self.steps.back().and_then(|step| step.send_lag_p99_ns);
        let ratio = lag_ns.map_or(0.0, |ns| ((ns.max(1) as f64).log10() / 3.0 - 1.0).clamp(0.0, 1.0));
        let label = lag_ns.map_or("-".into(), |ns| text::duration(ns as f64));
        let color = if lag_ns.is_some_and(|ns| ns > LAG_NS) { Color::Red } else { Color::Green };
        let block = Block::bordered().title(" send_lag p99, the generator's own error: 1 us to 1 ms ");
        let gauge =
            Gauge::default().block(block).gauge_style(Style::new().fg(color)).ratio(ratio).label(label);
        frame.render_widget(gauge, area);
    }
}

/// Name, color and points of a line of a chart.
type Line<'a> = (&'a str, Color, &'a [(f64, f64)]);

fn seconds(step: &Step) -> f64 {
    step.to_ns as f64 / 1e9
}

fn per_s(step: &Step) -> f64 {
    step.completed as f64 * 1e9 / step.to_ns.saturating_sub(step.from_ns).max(1) as f64
}

/// The next of 1, 2, 4, 5, 6, 8, 10, 20 ... above `value`, which is above 0: it and its half are short to write.
fn round_above(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let digit = [1.0, 2.0, 4.0, 5.0, 6.0, 8.0].into_iter().find(|digit| digit * decade > value);
    digit.unwrap_or(10.0) * decade
}

/// The row of a time: each is twice as long as the one before, the first has all below 2 us.
fn row(ns: u64) -> usize {
    ((ns / 1_000).max(1).ilog2() as usize).min(ROWS - 1)
}

fn floor_ns(row: usize) -> f64 {
    (1_000u64 << row) as f64
}

/// The color of a share: dark blue to bright yellow, none at all for none.
fn color(share: f64) -> Color {
    if share == 0.0 {
        return Color::Reset;
    }
    // By the root: a tail of one in a thousand is to be seen.
    let level = share.powf(0.25).min(1.0);
    let mix = |from: f64, to: f64| (from + (to - from) * level) as u8;
    Color::Rgb(mix(20.0, 250.0), mix(20.0, 230.0), mix(90.0, 60.0))
}

/// Rows of the heat map: 1 us to 32 s.
const ROWS: usize = 26;
/// Columns that a label takes.
const LABEL: u16 = 9;
/// Steps that are kept to be shown: as many as a wide terminal has columns.
const STEPS_MAX: usize = 600;
/// Where a verdict begins to doubt (`stats::verdict`).
const LAG_NS: u64 = 20_000;

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("memory");
        terminal.draw(|frame| view.draw(frame)).expect("memory");
        terminal.backend().to_string()
    }

    fn view(steps: u64) -> View {
        let asked = Asked { url: "echo://x:7".into(), duration_ns: 10_000_000_000, ..Asked::default() };
        let mut view = View::new(&asked);
        for second in 0..steps {
            let mut whole = Interval::new();
            (whole.from_ns, whole.to_ns) = (second * 1_000_000_000, (second + 1) * 1_000_000_000);
            (0..5_000).for_each(|k| whole.response.record(80_000 + k * 100).expect("in bounds"));
            (0..5_000).for_each(|_| whole.send_lag.record(5_000).expect("in bounds"));
            whole.counts.completed = 5_000;
            view.add(&whole, &Step::of(&whole, 4), 3);
        }
        view
    }

    #[test]
    fn the_view_has_the_figures_of_the_last_step_and_a_row_for_each_doubling() {
        let text = drawn(&view(3), 100, 40);
        for part in
            ["echo://x:7", "3 s of 10 s   5k/s   p50 330 us", "errors 3", "64 us ", "512 us ", "5 us", "p99"]
        {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }

    #[test]
    fn a_view_without_a_step_and_a_terminal_without_room_are_drawn_too() {
        let mut empty = view(0);
        empty.doing = "connecting".into();
        assert!(drawn(&empty, 80, 24).contains("connecting"));
        for (width, height) in [(1, 1), (10, 5), (30, 12)] {
            drawn(&view(900), width, height);
        }
    }

    #[test]
    fn an_axis_ends_at_a_round_number_above_what_it_shows() {
        let rounded = [1.0, 1.9, 2.0, 4_999.0, 5_000.0, 8_100.0, 0.03].map(round_above);
        assert_eq!(rounded, [2.0, 2.0, 4.0, 5_000.0, 6_000.0, 10_000.0, 0.04]);
        let text = drawn(&view(3), 100, 40);
        assert!(text.contains("6k/s") && text.contains("3k/s"), "{text}");
    }

    #[test]
    fn rows_are_doublings_from_a_microsecond_on() {
        assert_eq!([0, 1_999, 2_000, 64_000, u64::MAX].map(row), [0, 0, 1, 6, ROWS - 1]);
        assert_eq!(floor_ns(row(64_000)), 64_000.0);
    }
}
