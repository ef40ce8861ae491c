"""What a report says of events that were only counted."""

from vaner.report import Report


def test_events_that_were_only_counted_are_summed_up():
    report = Report()
    report.counts["name skipped"] += 2
    report.warn("line repaired", "f:1: z")
    assert report.summary() == ["2 x name skipped", "line repaired: f:1: z"]
