//! The address behind a URL: looked up, and asked once whether somebody is there, before the first thread starts.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use linux::console::Failure;

use crate::url::{Scheme, Url};

/// The address to load: of those that the name stands for, and that `from` can reach, the first at which somebody answers.
/// Datagrams are not asked about: nobody has to answer one. Errors: what the resolver or the last address said.
pub(crate) fn find(url: &Url, from: &[IpAddr]) -> Result<SocketAddr, Failure> {
    let found = lookup(url)?;
    let reach = |address: &SocketAddr| from.first().is_none_or(|from| from.is_ipv4() == address.is_ipv4());
    let reachable: Vec<SocketAddr> = found.iter().copied().filter(reach).collect();
    let Some(first) = reachable.first() else {
        let family = if found.iter().any(SocketAddr::is_ipv4) { "IPv4" } else { "IPv6" };
        let what = format!("{} has addresses of {family} only, which --from cannot reach", url.host);
        return Err(Failure::usage(what).cure(format!("`--from` with addresses of {family}")));
    };
    if url.scheme == Scheme::UdpEcho {
        return Ok(*first);
    }
    let mut last = None;
    for address in reachable {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(address),
            Err(why) => last = Some(refusal(address, &why)),
        }
    }
    Err(last.expect("there is an address, and it did not answer"))
}

fn lookup(url: &Url) -> Result<Vec<SocketAddr>, Failure> {
    let cure = "another name, or an address";
    match (url.host.as_str(), url.port).to_socket_addrs() {
        Ok(found) => {
            let found: Vec<SocketAddr> = found.collect();
            let nothing = || Failure::runtime(format!("{} stands for no address", url.host)).cure(cure);
            if found.is_empty() { Err(nothing()) } else { Ok(found) }
        }
        Err(why) => {
            let why = why.to_string();
            let why = why.strip_prefix("failed to lookup address information: ").unwrap_or(&why);
            Err(Failure::runtime(format!("{}: {why}", url.host)).cure(cure))
        }
    }
}

fn refusal(address: SocketAddr, why: &std::io::Error) -> Failure {
    let port = address.port();
    match why.kind() {
        ErrorKind::ConnectionRefused => Failure::runtime(format!("nobody listens at {address}"))
            .cure(format!("`ss -tlnp 'sport = :{port}'` there to see who does, or another port")),
        ErrorKind::TimedOut => {
            Failure::runtime(format!("{address} does not answer within {} s", PATIENCE.as_secs()))
                .cure("whether the host is up and a firewall lets the port through")
        }
        ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
            Failure::runtime(format!("there is no way to {}", address.ip()))
                .cure(format!("`ip route get {}`", address.ip()))
        }
        _ => Failure::runtime(format!("{address}: {why}")),
    }
}

/// How long the one connect before the start may take.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn url(text: &str) -> Url {
        text.parse().expect("a literal URL")
    }

    #[test]
    fn a_listener_is_found_and_a_port_without_one_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        assert_eq!(find(&url(&format!("echo://{address}")), &[]).expect("it listens"), address);
        drop(listener);
        let failure =
            find(&url(&format!("http://{address}/")), &[]).expect_err("nobody is there").to_string();
        assert!(failure.contains(&format!("nobody listens at {address}")), "{failure}");
        assert_eq!(
            find(&url(&format!("udp-echo://{address}")), &[]).expect("datagrams are not asked about"),
            address
        );
    }

    #[test]
    fn sources_of_another_family_are_refused_with_the_one_that_would_do() {
        let failure =
            find(&url("udp-echo://127.0.0.1:1"), &["::1".parse().expect("literal")]).expect_err("IPv6");
        assert!(failure.to_string().contains("`--from` with addresses of IPv4"), "{failure}");
    }
}
