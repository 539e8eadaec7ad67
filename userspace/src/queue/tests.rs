use std::time::Duration;

use super::*;
use crate::model::{Model, Proxy, ProxyKind, Server, ServerAddress};
use crate::state::Admin;

#[test]
fn a_server_without_a_limit_never_makes_anyone_wait() {
    let queue = queue(&[server(0)]);
    let slots: Vec<Slot> = (0..100)
        .map(|_| queue.try_take(ServerId(0)).unwrap())
        .collect();
    assert_eq!(current(&queue, 0), 100);
    drop(slots);
    assert_eq!(current(&queue, 0), 0);
}

#[test]
fn slots_go_to_the_longest_waiting_in_order() {
    let queue = queue(&[server(1)]);
    let held = queue.try_take(ServerId(0)).unwrap();
    assert!(queue.try_take(ServerId(0)).is_none());
    run(async {
        let mut first = queue
            .wait_for_server(ServerId(0), Priority::default())
            .unwrap();
        let mut second = queue.wait_for_any(Priority::default());
        let third = queue
            .wait_for_server(ServerId(0), Priority::default())
            .unwrap();
        assert_eq!((first.ahead(), second.ahead(), third.ahead()), (0, 0, 1));
        assert_eq!(
            (waiting_for_server(&queue), waiting_for_any(&queue)),
            (2, 1)
        );
        drop(held);
        let slot = slot_of(first.turn().await);
        assert!(is_waiting(&mut second).await);
        drop(slot);
        let slot = slot_of(second.turn().await);
        drop(third);
        assert_eq!(
            (waiting_for_server(&queue), waiting_for_any(&queue)),
            (0, 0)
        );
        drop(slot);
        assert_eq!(current(&queue, 0), 0);
    });
}

#[test]
fn a_newcomer_does_not_overtake_those_who_wait() {
    let queue = queue(&[server(1)]);
    let held = queue.try_take(ServerId(0)).unwrap();
    let waiting = queue.wait_for_any(Priority::default());
    drop(held);
    assert!(
        queue.try_take(ServerId(0)).is_none(),
        "the free slot was given to the one who waited"
    );
    drop(waiting);
    assert_eq!(
        current(&queue, 0),
        0,
        "and came back when that one left without it"
    );
    assert!(queue.try_take(ServerId(0)).is_some());
}

#[test]
fn who_leaves_the_line_gives_the_place_to_the_next() {
    let queue = queue(&[server(1)]);
    let held = queue.try_take(ServerId(0)).unwrap();
    run(async {
        let impatient = queue
            .wait_for_server(ServerId(0), Priority::default())
            .unwrap();
        let mut patient = queue
            .wait_for_server(ServerId(0), Priority::default())
            .unwrap();
        drop(held);
        drop(impatient);
        slot_of(patient.turn().await);
    });
}

#[test]
fn whichever_server_is_free_first_serves_the_backends_line() {
    let queue = queue(&[server(1), server(1)]);
    let _first = queue.try_take(ServerId(0)).unwrap();
    let second = queue.try_take(ServerId(1)).unwrap();
    run(async {
        let mut place = queue.wait_for_any(Priority::default());
        assert!(is_waiting(&mut place).await);
        drop(second);
        assert_eq!(slot_of(place.turn().await).server(), ServerId(1));
    });
}

#[test]
fn a_full_queue_refuses_at_once() {
    let queue = queue(&[Server {
        maxqueue: Some(1),
        ..server(1)
    }]);
    let _held = queue.try_take(ServerId(0)).unwrap();
    let _place = queue
        .wait_for_server(ServerId(0), Priority::default())
        .unwrap();
    assert_eq!(
        queue
            .wait_for_server(ServerId(0), Priority::default())
            .unwrap_err(),
        QueueFull
    );
}

#[test]
fn a_raised_limit_serves_those_who_wait() {
    let queue = queue(&[server(1)]);
    let _held = queue.try_take(ServerId(0)).unwrap();
    run(async {
        let mut place = queue.wait_for_any(Priority::default());
        queue.state(0).set_maxconn(2);
        queue.serve(ServerId(0));
        slot_of(place.turn().await);
    });
}

#[test]
fn a_server_in_maintenance_serves_only_its_own_line() {
    let queue = queue(&[server(1)]);
    let held = queue.try_take(ServerId(0)).unwrap();
    run(async {
        let mut any = queue.wait_for_any(Priority::default());
        queue.state(0).set_admin(Admin::FORCED_DRAIN);
        drop(held);
        assert!(is_waiting(&mut any).await);
        queue.state(0).set_admin(Admin::default());
        queue.serve(ServerId(0));
        slot_of(any.turn().await);
    });
}

#[test]
fn a_dissolved_line_sends_everyone_to_choose_again() {
    let queue = queue(&[server(1)]);
    let _held = queue.try_take(ServerId(0)).unwrap();
    run(async {
        let mut place = queue
            .wait_for_server(ServerId(0), Priority::default())
            .unwrap();
        queue.dissolve(ServerId(0));
        assert!(matches!(place.turn().await, Turn::Again));
        assert_eq!(waiting_for_server(&queue), 0);
    });
}

#[test]
fn a_slot_of_the_previous_configuration_serves_the_next_ones_line() {
    let running = running(&[server(1)]);
    let before = LocalQueue::new(&Queue::new(&running, ProxyId(0), 0));
    let held = before.try_take(ServerId(0)).unwrap();
    let reloaded = Running::new(Arc::clone(&running.model), Some(&running));
    let after = LocalQueue::new(&Queue::new(&reloaded, ProxyId(0), 0));
    before.set_successor(Arc::clone(&*after));
    run(async {
        let mut place = after.wait_for_any(Priority::default());
        assert!(is_waiting(&mut place).await);
        drop(held);
        slot_of(place.turn().await);
    });
}

#[test]
fn under_contention_from_many_threads_no_slot_is_lost_and_no_limit_broken() {
    let queue = queue(&[server(3), server(2)]);
    std::thread::scope(|scope| {
        for thread in 0..8_u32 {
            let shared = Arc::clone(&*queue);
            scope.spawn(move || {
                let queue = &LocalQueue::new(&shared);
                run(async {
                    for round in 0..300_u32 {
                        let server = ServerId((thread + round) % 2);
                        let slot = match queue.try_take(server) {
                            Some(slot) => slot,
                            None if round % 3 == 0 => {
                                slot_of(queue.wait_for_any(Priority::default()).turn().await)
                            }
                            None => {
                                let mut place =
                                    queue.wait_for_server(server, Priority::default()).unwrap();
                                if round % 7 == 0 {
                                    continue;
                                }
                                slot_of(place.turn().await)
                            }
                        };
                        assert!(current(queue, 0) <= 3 && current(queue, 1) <= 2);
                        std::thread::yield_now();
                        drop(slot);
                    }
                });
            });
        }
    });
    assert_eq!((current(&queue, 0), current(&queue, 1)), (0, 0));
    assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    assert!(queue.try_take(ServerId(0)).is_some());
}

fn queue(servers: &[Server]) -> LocalQueue {
    LocalQueue::new(&Queue::new(&running(servers), ProxyId(0), 0))
}

fn running(servers: &[Server]) -> Running {
    let mut backend = Proxy::new(ProxyId(0), "be", ProxyKind::Backend);
    let servers: Vec<Server> = servers
        .iter()
        .enumerate()
        .map(|(index, server)| Server {
            id: ServerId(index as u32),
            name: format!("s{index}"),
            ..server.clone()
        })
        .collect();
    backend.servers = servers.iter().map(|server| server.id).collect();
    let model = Model {
        proxies: vec![backend],
        servers: servers.into(),
        ..Model::default()
    };
    Running::new(Arc::new(model), None)
}

/// A server with that `maxconn`; 0 for none.
fn server(maxconn: u32) -> Server {
    let address = ServerAddress::Inet {
        address: ([192, 0, 2, 1], 80).into(),
        port_offset: None,
    };
    Server {
        maxconn: Some(maxconn).filter(|limit| *limit > 0),
        ..Server::new(ServerId(0), ProxyId(0), 1, "s", address)
    }
}

fn current(queue: &Queue, position: usize) -> u32 {
    queue.state(position).current.current()
}

fn waiting_for_server(queue: &Queue) -> u32 {
    queue.state(0).queue.current()
}

fn waiting_for_any(queue: &Queue) -> u32 {
    queue
        .running
        .state
        .proxy(queue.backend)
        .backend
        .queue
        .current()
}

fn slot_of(turn: Turn) -> Slot {
    match turn {
        Turn::Slot(slot) => slot,
        Turn::Again => panic!("the line was dissolved"),
    }
}

async fn is_waiting(place: &mut Place) -> bool {
    let turn = place.turn();
    tokio::pin!(turn);
    std::future::poll_fn(|context| std::task::Poll::Ready(turn.as_mut().poll(context).is_pending()))
        .await
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), test)
            .await
            .expect("in time")
    });
}
