//! One seat accepts for all and hands connections over: evenly, and without losing one.

use crate::drain::drain_under_load;
use crate::echo::exchange;
use crate::server::{Engine, Recipe, cannot, tcp, until};
use shard::plan::{Accept, Plan};
use std::net::TcpStream;

on_every_engine! {
    connections_go_to_each_shard_in_its_turn
    a_shard_that_is_full_is_passed_over
    where_the_shard_that_accepts_is_full_the_others_are_served_all_the_same
    no_accepted_request_fails_in_a_drain_where_connections_are_handed_over
}

/// A plan of `seats` seats that hand connections over, or `None`, once it was seen that this engine refuses one.
fn recipe(engine: Engine, seats: usize) -> Option<Recipe> {
    let hand_off = move |plan: &mut Plan| (plan.cores, plan.accept) = (vec![None; seats], Accept::HandOff);
    if engine.hands_off() {
        return Some(Recipe::new().plan(hand_off));
    }
    let mut plan = Plan { listeners: vec![tcp()], ..Plan::default() };
    hand_off(&mut plan);
    let refusal = engine.check(&plan).expect_err("it hands nothing over").to_string();
    assert!(refusal.contains(engine.name()) && refusal.contains("take uring or epoll"), "{refusal}");
    cannot();
    None
}

fn connections_go_to_each_shard_in_its_turn(engine: Engine) {
    let Some(recipe) = recipe(engine, 3) else { return };
    let server = recipe.serve(engine);
    let mut clients: Vec<TcpStream> = (0..60).map(|_| server.echo()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(exchange(client, b"in"), b"in"));
    for seat in 0..3 {
        assert_eq!(server.board().seat(seat).snapshot().connections, 20, "seat {seat}");
    }
    drop(clients);
    assert_eq!(server.end().accepted, 60);
}

fn a_shard_that_is_full_is_passed_over(engine: Engine) {
    let Some(recipe) = recipe(engine, 2) else { return };
    let server = recipe.plan(|plan| plan.connections_max = 6).serve(engine);
    let greet = |_| {
        let mut client = server.echo();
        assert_eq!(exchange(&mut client, b"in"), b"in");
        client
    };
    let mut clients: Vec<TcpStream> = (0..8).map(greet).collect();
    // Those of the first seat, which was the first to have its turn, go: the other one is full sooner.
    let (own, others): (Vec<_>, Vec<_>) = clients.drain(..).enumerate().partition(|(at, _)| at % 2 == 0);
    drop(own);
    until("they have gone", || server.counts().connections == 4);
    let more: Vec<TcpStream> = (0..6).map(greet).collect();
    assert_eq!(server.board().seat(1).snapshot().connections, 6, "it is full, and no fuller");
    drop((others, more));
    assert_eq!(server.end().accepted, 14);
}

fn where_the_shard_that_accepts_is_full_the_others_are_served_all_the_same(engine: Engine) {
    let Some(recipe) = recipe(engine, 2) else { return };
    let server = recipe.plan(|plan| plan.connections_max = 4).serve(engine);
    let greet = |_| {
        let mut client = server.echo();
        assert_eq!(exchange(&mut client, b"in"), b"in");
        client
    };
    let (own, others): (Vec<_>, Vec<_>) = (0..8).map(greet).enumerate().partition(|(at, _)| at % 2 == 0);
    drop(others);
    until("they have gone", || server.counts().connections == 4);
    let more: Vec<TcpStream> = (0..4).map(greet).collect();
    assert_eq!(server.board().seat(1).snapshot().connections, 4);
    drop((own, more));
    assert_eq!(server.end().accepted, 12);
}

fn no_accepted_request_fails_in_a_drain_where_connections_are_handed_over(engine: Engine) {
    let Some(recipe) = recipe(engine, 3) else { return };
    drain_under_load(recipe.serve(engine));
}
