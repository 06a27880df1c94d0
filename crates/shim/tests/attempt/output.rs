//! Tests of the output on disk: its content, its size limits and its reader.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::Instant};

use longhaul_shim::{
    LOOKBACK_BYTES, LaunchOrder, Loss, OutputBound, OutputReader, ReadChunk, ShimRequest, ShimStopRequest,
    StopReason, StreamId,
};

use crate::harness::{Attempt, script, until};

const MIB: u64 = 1 << 20;

fn finished(launch: &LaunchOrder) -> (crate::harness::Directory, longhaul_shim::ExitRecord) {
    let mut attempt = Attempt::launch(launch);
    let record = attempt.peer.settled();
    (attempt.finish(), record)
}

fn bounded(text: &str, head: u64, tail: u64, rotate: bool) -> LaunchOrder {
    let mut launch = script(text);
    launch.output = OutputBound { head, tail, rotate };
    launch
}

/// Returns the disk space that all output files of an attempt use, in bytes.
fn disk_use(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let outputs = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("output."));
    outputs.filter_map(|entry| Some(entry.metadata().ok()?.blocks() * 512)).sum()
}

/// Reads all stored output. Returns each contiguous range with the offset of its first byte, and the offset of the end
/// of the output.
fn read_all(log: &OutputReader) -> (Vec<(u64, Vec<u8>)>, u64) {
    let mut pieces: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut buffer = vec![0; 70_000];
    let mut offset = 0;
    loop {
        match log.read_at(offset, &mut buffer).unwrap() {
            ReadChunk::Bytes(got) => {
                match pieces.last_mut() {
                    Some((start, bytes)) if *start + bytes.len() as u64 == offset => {
                        bytes.extend_from_slice(&buffer[..got]);
                    }
                    _ => pieces.push((offset, buffer[..got].to_vec())),
                }
                offset += got as u64;
            }
            ReadChunk::Gap { resume } => {
                assert!(resume > offset);
                offset = resume;
            }
            ReadChunk::End => return (pieces, offset),
        }
    }
}

#[test]
fn streams_and_times_are_stored_separately() {
    let (directory, record) =
        finished(&script("echo one; sleep 0.2; echo two >&2; sleep 0.2; echo three; printf four >&2"));
    let log = OutputReader::open(directory.path()).unwrap();
    let runs: Vec<_> = log.entries(0).unwrap().map(Result::unwrap).collect();
    let shape: Vec<_> = runs.iter().map(|run| (run.stream, run.range.clone())).collect();
    assert_eq!(shape[..2], [(StreamId::Stdout, 0..4), (StreamId::Stderr, 4..8)]);
    let bytes = fs::read(directory.path().join("output.log")).unwrap();
    let of = |stream| -> Vec<u8> {
        let ranges = runs.iter().filter(|run| run.stream == stream).map(|run| run.range.clone());
        ranges.flat_map(|range| bytes[range.start as usize..range.end as usize].to_vec()).collect()
    };
    assert_eq!(of(StreamId::Stdout), b"one\nthree\n");
    assert_eq!(of(StreamId::Stderr), b"two\nfour");
    assert!(runs[1].time > runs[0].time && runs[2].time > runs[1].time, "{runs:?}");
    assert!(runs[0].time >= 1_000_000 && runs[2].time <= record.ended_at);
    assert_eq!(log.offset_at_time(runs[1].time).unwrap(), 4);
    assert_eq!(log.offset_at_time(u64::MAX).unwrap(), bytes.len() as u64);
    assert_eq!(log.entries(5).unwrap().next().unwrap().unwrap().range, 4..8);
}

#[test]
fn output_that_is_empty_has_no_index_and_reads_as_empty() {
    for rotate in [false, true] {
        let (directory, record) = finished(&bounded("true", MIB, MIB, rotate));
        assert_eq!((record.output_bytes, record.write_errors), (0, 0));
        assert!(directory.path().join("output.log").exists());
        assert!(!directory.path().join("output.idx").exists());
        let log = OutputReader::open(directory.path()).unwrap();
        assert_eq!(log.entries(0).unwrap().count(), 0);
        assert_eq!((log.length().unwrap(), log.gap().unwrap()), (0, None));
        assert_eq!(log.offset_at_time(0).unwrap(), 0);
        assert_eq!(log.offset_of_last_lines(3).unwrap(), 0);
        assert_eq!(log.read_at(0, &mut [0; 9]).unwrap(), ReadChunk::End);
    }
}

#[test]
fn index_that_cannot_be_made_is_tried_again_and_loses_no_output() {
    for rotate in [false, true] {
        let mut attempt = Attempt::idle();
        let index = attempt.path().join("output.idx");
        let release = attempt.path().join("go");
        fs::create_dir(&index).unwrap();
        let text =
            format!("echo one; while [ ! -e {} ]; do sleep 0.01; done; echo two >&2", release.display());
        attempt.peer.tell(&ShimRequest::Launch(Box::new(bounded(&text, MIB, MIB, rotate))));
        attempt.peer.started();
        attempt.await_output("one");
        assert_eq!(attempt.output().offset_of_last_lines(1).unwrap(), 0);
        fs::remove_dir(&index).unwrap();
        fs::write(&release, "").unwrap();
        let record = attempt.peer.settled();
        assert!(record.write_errors > 0 && record.dropped_bytes == 0, "{record:?}");
        let runs: Vec<_> = attempt.output().entries(0).unwrap().map(Result::unwrap).collect();
        assert_eq!(runs.first().unwrap().range.start, 0);
        let last = runs.last().unwrap();
        assert_eq!((last.range.end, last.stream), (8, StreamId::Stderr));
        attempt.finish();
    }
}

#[test]
fn neighbours_within_a_millisecond_share_an_entry() {
    let (directory, _) = finished(&script("dd if=/dev/zero bs=1M count=64 2>/dev/null"));
    let log = OutputReader::open(directory.path()).unwrap();
    let runs: Vec<_> = log.entries(0).unwrap().map(Result::unwrap).collect();
    assert_eq!(runs.last().unwrap().range.end, 64 * MIB);
    assert!(runs.windows(2).all(|pair| pair[0].range.end == pair[1].range.start));
    let span = runs.last().unwrap().time - runs[0].time;
    assert!(runs.len() as u64 <= span + 2, "{} entries for {span} ms", runs.len());
}

#[test]
fn large_output_stays_within_its_limit_and_keeps_head_and_tail() {
    for rotate in [false, true] {
        // Every line contains the offset at which it starts.
        let text =
            "exec python3 -c 'import sys\nfor i in range(0, 40<<20, 16): sys.stdout.write(\"%015d\\n\" % i)'";
        let (head, tail) = (MIB, 4 * MIB);
        let mut attempt = Attempt::launch(&bounded(text, head, tail, rotate));
        attempt.peer.started();
        let mut limit = 0;
        let output = attempt.output();
        until("all was written", || {
            limit = limit.max(disk_use(attempt.path()));
            (output.length().unwrap() == 40 * MIB).then_some(())
        });
        let record = attempt.peer.settled();
        assert_eq!(record.output_bytes, 40 * MIB);
        // Allow some more bytes for the index and for blocks that the file system itself uses.
        assert!(limit <= head + tail + MIB + 256 * 1_024, "{limit} bytes on disk with rotate {rotate}");
        let (pieces, end) = read_all(&output);
        assert_eq!(end, 40 * MIB);
        assert_eq!(pieces.len(), 2, "head and tail");
        assert_eq!(pieces[0].0, 0);
        assert!(pieces[0].1.len() as u64 >= head);
        let load_tail = pieces[1].1.len() as u64;
        assert!(load_tail >= if rotate { tail / 2 } else { tail }, "{load_tail}");
        for (start, bytes) in pieces {
            for (place, line) in bytes.chunks(16).enumerate() {
                let expected = format!("{:015}\n", start + place as u64 * 16);
                assert_eq!(String::from_utf8_lossy(line), expected);
            }
        }
        let gap = output.gap().unwrap().unwrap();
        assert!(gap.start >= head && gap.end <= 40 * MIB - tail / 2);
        let last = output.offset_of_last_lines(3).unwrap();
        assert_eq!(last, 40 * MIB - 48);
        let runs: Vec<_> = output.entries(0).unwrap().map(Result::unwrap).collect();
        assert!(runs.iter().all(|run| run.range.end <= gap.start || run.range.start >= gap.end || {
            // Allow the bytes of the run that the gap starts in.
            run.range.start < gap.start
        }));
        assert_eq!(runs.last().unwrap().range.end, 40 * MIB);
        attempt.finish();
    }
}

#[test]
fn reader_follows_large_output_and_never_returns_zeros_of_a_hole() {
    for rotate in [false, true] {
        let text =
            "exec python3 -c 'import sys\nfor i in range(0, 24<<20, 16): sys.stdout.write(\"%015d\\n\" % i)'";
        let mut attempt = Attempt::launch(&bounded(text, 64 << 10, 256 << 10, rotate));
        attempt.peer.started();
        let output = attempt.output();
        let (mut offset, mut buffer) = (0, vec![0; 64 << 10]);
        let begin = Instant::now();
        while offset < 24 * MIB {
            assert!(begin.elapsed() < crate::harness::TIMEOUT);
            match output.read_at(offset, &mut buffer).unwrap() {
                ReadChunk::Bytes(got) => {
                    let whole = got / 16 * 16;
                    let lines = buffer[..whole].chunks(16).enumerate();
                    for (place, line) in lines.filter(|_| offset % 16 == 0) {
                        assert_eq!(line, format!("{:015}\n", offset + place as u64 * 16).as_bytes());
                    }
                    offset += got as u64;
                }
                ReadChunk::Gap { resume } => offset = resume,
                ReadChunk::End => std::thread::yield_now(),
            }
        }
        attempt.peer.settled();
        attempt.finish();
    }
}

#[test]
fn index_of_work_that_writes_single_bytes_is_bounded_too() {
    let text = "exec python3 -c 'import os\nfor i in range(150000): os.write(1+i%2, b\"x\")'";
    let (directory, record) = finished(&bounded(text, 4_096, 4_096, false));
    assert_eq!(record.output_bytes, 150_000);
    let index = fs::metadata(directory.path().join("output.idx")).unwrap().blocks() * 512;
    assert!(index <= 2 * MIB, "{index} bytes of index");
    let log = OutputReader::open(directory.path()).unwrap();
    let runs: Vec<_> = log.entries(0).unwrap().map(Result::unwrap).collect();
    assert_eq!(runs.last().unwrap().range.end, 150_000);
}

#[test]
fn full_disk_never_blocks_the_command_and_loses_only_output_that_does_not_fit() {
    // The file size limit of the shim simulates a disk that is full at that size.
    let mut attempt = Attempt::idle();
    let limit = std::process::Command::new("prlimit")
        .args(["--pid", &attempt.shim.id().to_string(), "--fsize=1048576"])
        .status();
    assert!(limit.unwrap().success());
    let text = "head -c 8388608 /dev/zero | tr '\\0' x; echo end";
    attempt.peer.tell(&ShimRequest::Launch(Box::new(script(text))));
    let record = attempt.peer.settled();
    assert_eq!(record.ending, longhaul_shim::ProgramEnd::Exited { code: 0 });
    assert_eq!(record.output_bytes, MIB);
    assert_eq!(record.output_bytes + record.dropped_bytes, 8 * MIB + 4);
    assert!(record.write_errors > 0);
    attempt.finish();
}

#[test]
fn lost_output_is_reported_at_its_position_while_the_command_continues() {
    let mut attempt = Attempt::idle();
    let shim = attempt.shim.id().to_string();
    let limit = |bytes: &str| {
        let limited = std::process::Command::new("prlimit")
            .args(["--pid", &shim, &format!("--fsize={bytes}")])
            .status();
        assert!(limited.unwrap().success());
    };
    limit("1048576:unlimited");
    let release = attempt.path().join("go");
    let waits = format!("while [ ! -e {} ]; do sleep 0.01; done", release.display());
    let text = format!("head -c 3145728 /dev/zero; {waits}; echo two; exec sleep 1000");
    attempt.peer.tell(&ShimRequest::Launch(Box::new(script(&text))));
    attempt.peer.started();
    let missing = [Loss { offset: MIB, bytes: 2 * MIB }];
    until("the loss is recorded", || (attempt.output().losses().unwrap() == missing).then_some(()));
    limit("unlimited:unlimited");
    fs::write(&release, "").unwrap();
    until("later output is stored", || (attempt.output().length().unwrap() == MIB + 4).then_some(()));
    assert_eq!(attempt.output().losses().unwrap(), missing);
    attempt.peer.tell(&ShimRequest::Stop(ShimStopRequest::new(StopReason::User)));
    let record = attempt.peer.settled();
    assert_eq!(record.dropped_bytes, 2 * MIB);
    attempt.finish();
}

#[test]
fn garbage_in_the_index_never_breaks_the_reader() {
    let (directory, _) = finished(&script("echo one; sleep 0.01; echo two >&2; sleep 0.01; echo three"));
    let path = directory.path().join("output.idx");
    let good = fs::read(&path).unwrap();
    let log = OutputReader::open(directory.path()).unwrap();
    for cut in 0..=good.len() {
        fs::write(&path, &good[..cut]).unwrap();
        let runs: Vec<_> = log.entries(0).unwrap().map(Result::unwrap).collect();
        assert_eq!(runs.len(), cut / 16);
    }
    for place in 0..good.len() {
        for value in [0x00, 0x7f, 0xff] {
            let mut bad = good.clone();
            bad[place] = value;
            fs::write(&path, &bad).unwrap();
            let runs: Vec<_> = log.entries(0).unwrap().map(Result::unwrap).collect();
            assert!(runs.iter().all(|run| run.range.end <= 14 && run.range.start < run.range.end));
            assert!(log.offset_at_time(0).unwrap() <= 14);
        }
    }
    fs::write(directory.path().join("output.gap"), [0xff; 32]).unwrap();
    assert_eq!(log.gap().unwrap(), None);
}

#[test]
fn index_entry_with_a_huge_offset_is_read_quickly_and_hides_no_output() {
    let (directory, _) = finished(&script("echo one; echo two >&2"));
    let sound: Vec<_> =
        OutputReader::open(directory.path()).unwrap().entries(0).unwrap().map(Result::unwrap).collect();
    assert_eq!(sound.len(), 2);
    // Simulate a tail file with a damaged header, and an index file whose length exceeds any disk.
    let header = [b"LHTAIL1\0".as_slice(), &(1_u64 << 60).to_le_bytes(), &[0; 64]].concat();
    std::fs::write(directory.path().join("output.idx0"), header).unwrap();
    let index = std::fs::File::options().write(true).open(directory.path().join("output.idx")).unwrap();
    index.set_len(1 << 40).unwrap();
    let log = OutputReader::open(directory.path()).unwrap();
    let found: Vec<_> = log.entries(0).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, sound);
    assert_eq!(log.offset_at_time(u64::MAX).unwrap(), 8);
    assert_eq!(log.last_time().unwrap(), None);
}

#[test]
fn gap_beyond_the_end_hides_nothing_that_is_there() {
    let (directory, _) = finished(&script("echo one; echo two >&2"));
    let log = OutputReader::open(directory.path()).unwrap();
    let gap: Vec<u8> = [0, u64::MAX, 0, u64::MAX].into_iter().flat_map(u64::to_le_bytes).collect();
    fs::write(directory.path().join("output.gap"), gap).unwrap();
    assert_eq!(log.gap().unwrap(), None);
    assert_eq!(read_all(&log), (vec![(0, b"one\ntwo\n".to_vec())], 8));
    assert!(log.entries(0).unwrap().map(Result::unwrap).any(|run| run.range.end == 8));
}

#[test]
fn gap_of_bytes_lost_in_a_power_cut_shows_no_zeros() {
    let (directory, _) = finished(&script("echo one"));
    let file = fs::File::options().write(true).open(directory.path().join("output.log")).unwrap();
    file.set_len(3 * 4_096).unwrap();
    let gap: Vec<u8> = [4_096, 9 * 4_096, 0, 0].into_iter().flat_map(u64::to_le_bytes).collect();
    fs::write(directory.path().join("output.gap"), gap).unwrap();
    let log = OutputReader::open(directory.path()).unwrap();
    assert_eq!(log.gap().unwrap(), Some(4_096..3 * 4_096));
    assert_eq!(log.read_at(4_096, &mut [0; 9]).unwrap(), ReadChunk::Gap { resume: 3 * 4_096 });
}

#[test]
fn last_lines_are_found_with_and_without_a_final_newline() {
    for (text, lines, expected) in [
        ("printf 'a\\nb\\nc\\n'", 1, 4),
        ("printf 'a\\nb\\nc'", 1, 4),
        ("printf 'a\\nb\\nc\\n'", 2, 2),
        ("printf 'a\\nb\\nc\\n'", 3, 0),
        ("printf 'a\\nb\\nc\\n'", 9, 0),
        ("printf 'a\\nb\\nc\\n'", 0, 6),
        ("true", 5, 0),
        ("head -c 200000 /dev/zero | tr '\\0' x; echo; echo end", 1, 200_001),
        ("head -c 200000 /dev/zero | tr '\\0' x; echo; echo end", 2, 0),
    ] {
        let (directory, _) = finished(&script(text));
        let log = OutputReader::open(directory.path()).unwrap();
        assert_eq!(log.offset_of_last_lines(lines).unwrap(), expected, "{lines} of {text}");
    }
}

#[test]
fn lines_are_not_looked_for_in_all_that_a_file_claims_to_be() {
    let (directory, _) = finished(&script("echo one; echo two"));
    let file = fs::File::options().write(true).open(directory.path().join("output.log")).unwrap();
    let terabyte = 1 << 40;
    file.set_len(terabyte).unwrap();
    let log = OutputReader::open(directory.path()).unwrap();
    assert_eq!(log.offset_of_last_lines(9).unwrap(), terabyte - LOOKBACK_BYTES);
}

#[test]
fn shim_answers_requests_during_large_output() {
    let mut attempt = Attempt::launch(&script("exec cat /dev/zero"));
    attempt.peer.started();
    for _ in 0..20 {
        let begin = Instant::now();
        attempt.peer.status();
        assert!(begin.elapsed().as_millis() < 1_000, "answered after {:?}", begin.elapsed());
    }
    attempt
        .peer
        .tell(&ShimRequest::Stop(ShimStopRequest { force: true, ..ShimStopRequest::new(StopReason::User) }));
    attempt.peer.settled();
    attempt.finish();
}
