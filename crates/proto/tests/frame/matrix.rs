//! The golden matrix of the conversation: every frame in every state, for both sides.

use proto::frame::{Answer, Conversation, Kind, Role, State};

const TABLE: &str = include_str!("../golden/frame/conversation.txt");

#[test]
fn every_frame_in_every_state_has_the_answer_of_the_table() {
    let mut rows = 0;
    for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [role, state, frame, "->", then, answer] = words[..] else { panic!("{line}") };
        let mut conversation = at(role, state);
        let told = conversation.on(kind(frame));
        assert_eq!((name(conversation.state()), &tell(told)[..]), (then, answer), "{line}");
        rows += 1;
    }
    assert_eq!(rows, 2 * 4 * 8, "a row for every frame in every state of both sides");
}

#[test]
fn goaway_is_said_once_and_not_before_the_greeting() {
    for (state, says) in [("greeting", false), ("open", true), ("leaving", false), ("closed", false)] {
        for role in ["server", "client"] {
            let mut conversation = at(role, state);
            assert_eq!(conversation.leave(), says, "{role} {state}");
            assert_eq!(name(conversation.state()), if says { "leaving" } else { state });
        }
    }
}

/// A conversation that was brought to a state.
fn at(role: &str, state: &str) -> Conversation {
    let mut conversation = Conversation::new(match role {
        "server" => Role::Server,
        "client" => Role::Client,
        _ => panic!("{role}"),
    });
    if state == "closed" {
        conversation.close();
    } else if state != "greeting" {
        assert_eq!(conversation.on(Kind::Hello), Answer::Greet);
        assert_eq!(state == "leaving", state == "leaving" && conversation.leave());
    }
    assert_eq!(name(conversation.state()), state);
    conversation
}

fn kind(name: &str) -> Kind {
    let all = [Kind::Hello, Kind::Ping, Kind::Pong, Kind::Ack, Kind::Error, Kind::Goaway, Kind::Data];
    all.into_iter().chain([Kind::Application(0x8000)]).find(|kind| kind.name() == name).expect(name)
}

fn name(state: State) -> &'static str {
    match state {
        State::Greeting => "greeting",
        State::Open => "open",
        State::Leaving => "leaving",
        State::Closed => "closed",
    }
}

fn tell(answer: Answer) -> String {
    match answer {
        Answer::Refuse(refusal) => format!("refuse:{}", refusal.code()),
        other => format!("{other:?}").to_lowercase(),
    }
}
