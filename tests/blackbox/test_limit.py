"""I1 at the real API's kernel: the real binary, saturated, for a minute each."""
import json

from support import Daemon, MockApi, config, figure, send_jobs, wait_until, window

RUN_S = 60


def saturate(hold="arrival", api_args=(), jobs=340, requests=5, per="1s", concurrency=8, seconds=RUN_S, data_dir="data"):
    """Runs one route against a mock API for `seconds` from the first call; the API's report and the metrics."""
    api = MockApi(*api_args)
    daemon = Daemon(config(window(requests, per, hold=hold), concurrency=concurrency,
                           retry={"max_attempts": 1000, "min_backoff": "100ms", "max_backoff": "1s"}), data_dir=data_dir)
    daemon.cli("route", "pause", "createjob")
    send_jobs(9324, "jobs", jobs)
    daemon.cli("route", "resume", "createjob")
    wait_until(lambda: api.stats()["arrivals"] > 0, 20, "first call")
    begin = api.stats()
    wait_until(lambda: api.stats()["last_arrival_seconds"] >= begin["first_arrival_seconds"] + seconds
               or api.stats()["arrivals"] >= seconds * requests * 1.5, seconds + 30, "a minute of calls")
    return daemon, api, api.stats()


def mean(metrics, name):
    return metrics[f'{name}_sum{{target="legacy"}}'] / metrics[f'{name}_count{{target="legacy"}}']


def second_chance(run):
    """run(data directory) asserts the limit in every run and tells whether the utilisation was reached; a machine that
    was busy elsewhere gets one more run for the latter."""
    assert run("data") or run("data-again"), "the utilisation was missed twice"


def assert_arrival(name, api_args, floor):
    second_chance(lambda data_dir: measure_arrival(name, api_args, floor, data_dir))


def measure_arrival(name, api_args, floor, data_dir):
    daemon, api, stats = saturate(api_args=("--limit", "5/1s", *api_args), data_dir=data_dir)
    figure(f"{name}: peak {stats['window_peak']} of 5, application {stats['application_window_peak']}, "
           f"utilisation {stats['utilisation']:.4f} (at least {floor}), "
           f"mean time to the acknowledgement {mean(daemon.metrics(), 'sluice_target_arrival_seconds') * 1e3:.2f} ms")
    assert stats["window_peak"] == 5, f"I1: {stats}"
    assert stats["rejected"] == 0, stats
    assert daemon.metric('sluice_window_peak_requests{limit="createjob"}') == 5
    assert stats["in_flight_peak"] <= 8, f"I2: {stats}"
    assert daemon.stop() == 0
    api.stop()
    return stats["utilisation"] >= floor


def test_loopback_1ms():
    assert_arrival("latency 1 ms", ("--latency", "1ms"), 0.985)


def test_loopback_600ms():
    assert_arrival("latency 600 ms", ("--latency", "600ms"), 0.985)


def test_loopback_lognormal():
    assert_arrival("lognormal 600 ms cv 1", ("--latency", "600ms:1"), 0.985)


def test_loopback_failures_50ms():
    assert_arrival("600 ms, 10 % failures after 50 ms", ("--latency", "600ms", "--errors", "10%:500:50ms"), 0.985)


def test_loopback_failures_1ms():
    assert_arrival("600 ms, 10 % failures after 1 ms", ("--latency", "600ms", "--errors", "10%:500:1ms"), 0.975)


def test_hold_response():
    second_chance(measure_response)


def measure_response(data_dir):
    daemon, api, stats = saturate("response", ("--limit", "5/1s", "--latency", "600ms"), jobs=260, data_dir=data_dir)
    latency = mean(daemon.metrics(), "sluice_target_request_duration_seconds")
    floor = 0.97 * 1 / (1 + latency)
    figure(f"hold response, 600 ms: peak {stats['window_peak']}, application {stats['application_window_peak']}, "
           f"utilisation {stats['utilisation']:.4f} (at least {floor:.4f})")
    assert stats["window_peak"] <= 5 and stats["application_window_peak"] <= 5, f"I1: {stats}"
    assert daemon.stop() == 0
    api.stop()
    return stats["utilisation"] >= floor


def test_thousand_per_second():
    second_chance(measure_thousand)


def measure_thousand(data_dir):
    seconds = 15
    daemon, api, stats = saturate(api_args=("--limit", "1000/1s", "--latency", "1ms"), jobs=seconds * 1000 + 3000, requests=1000,
                                  concurrency=64, seconds=seconds, data_dir=data_dir)
    figure(f"1000/s: peak {stats['window_peak']} of 1000, utilisation {stats['utilisation']:.4f}")
    assert stats["window_peak"] <= 1000, f"I1: {stats}"
    assert daemon.stop() == 0
    api.stop()
    return stats["utilisation"] >= 0.98 and stats["window_peak"] >= 990


def test_live_rate_keeps_the_window():
    """`route limit` while saturated: the transition is bounded by the larger of the two."""
    api = MockApi("--limit", "10/1s", "--latency", "10ms")
    daemon = Daemon(config(window(5)))
    send_jobs(9324, "jobs", 100)
    wait_until(lambda: api.stats()["arrivals"] >= 10, 20, "calls")
    daemon.cli("route", "limit", "createjob", "10/1s")
    wait_until(lambda: api.stats()["arrivals"] >= 50, 20, "faster calls")
    assert api.stats()["window_peak"] <= 10
    daemon.cli("route", "limit", "createjob", "2/1s")
    api_before = api.stats()["arrivals"]
    wait_until(lambda: api.stats()["arrivals"] >= api_before + 6, 20, "slower calls")
    status = json.loads(daemon.cli("status", "--json")[1])
    assert status["limits"][0]["requests"] == 2, status
    assert api.stats()["window_peak"] <= 10 and api.stats()["rejected"] == 0
    code, text = daemon.cli("route", "limit", "createjob", "nonsense", check=False)
    assert code == 2 and "5/1s" in text, text
    code, text = daemon.cli("route", "limit", "createjob", "5/5m", check=False)
    assert code == 1 and "60s" in text, text
    code, text = daemon.cli("route", "limit", "nosuch", "5/1s", check=False)
    assert code == 1 and "no such route" in text, text


for test in (test_loopback_1ms, test_loopback_600ms, test_loopback_lognormal, test_loopback_failures_50ms,
             test_loopback_failures_1ms, test_hold_response):
    test.weight = 60
test_thousand_per_second.weight = 100
