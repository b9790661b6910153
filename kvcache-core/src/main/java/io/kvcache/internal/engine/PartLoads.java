package io.kvcache.internal.engine;

import io.kvcache.internal.engine.Source.Fetched;
import io.kvcache.spi.Deadline;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The parts one lease reads from tiers that are not memory: several in flight, some kept while their group's
 * layers are read. A load nobody waits for any more gives its buffer back at once, or
 * when its I/O has ended if that has begun. One thread at a
 * time.
 */
final class PartLoads {
  private static final int IN_FLIGHT = 4;

  private final Resources shared;
  private final List<Source> sources;
  private final Deadline deadline;
  private final Map<Integer, Load> loads = new HashMap<>();
  private int part;

  PartLoads(Resources shared, List<Source> sources, Deadline deadline) {
    this.shared = shared;
    this.sources = sources;
    this.deadline = deadline;
  }

  /** One part being read, or waiting for a thread; {@code begun} says whose the buffer is if nobody wants it. */
  private record Load(Staging.Buffer buffer, AtomicBoolean begun, CompletableFuture<Fetched> result) {
    void discard() {
      if (begun.compareAndSet(false, true)) {
        buffer.close();
      } else {
        result.whenComplete((fetched, failure) -> buffer.close());
      }
    }
  }

  /** Turns to a part, of which chunks from {@code from} up to {@code chunks} will be wanted in order. */
  void turnTo(int number, int from, int chunks) {
    if (part != number) {
      discardAll();
      part = number;
    }
    readAhead(from, chunks);
  }

  /** Starts loads so that {@value #IN_FLIGHT} are under way from {@code from} on, as buffers allow. */
  private void readAhead(int from, int chunks) {
    for (int chunk = from; chunk < Math.min(from + IN_FLIGHT, chunks); chunk++) {
      if (!sources.get(chunk).inPlace() && !loads.containsKey(chunk)) {
        // The first is wanted now, and worth waiting for: whoever waits holds no more than what it may
        // retain.
        Staging.Buffer buffer =
            shared.staging.take(chunk == from ? deadline : Deadline.after(0, () -> 0));
        if (buffer == null) {
          return;
        }
        start(chunk, buffer);
      }
    }
  }

  private void start(int chunk, Staging.Buffer buffer) {
    Source source = sources.get(chunk);
    int number = part;
    AtomicBoolean begun = new AtomicBoolean();
    CompletableFuture<Fetched> result;
    try {
      result = CompletableFuture.supplyAsync(() -> begun.compareAndSet(false, true)
          ? source.fetch(number, buffer, deadline)
          : Fetched.failed(Source.Problem.UNREADABLE), shared.runtime.io());
    } catch (RejectedExecutionException closing) {
      result = CompletableFuture.completedFuture(Fetched.failed(Source.Problem.UNREADABLE));
    }
    loads.put(chunk, new Load(buffer, begun, result));
  }

  /** Waits for the part of one chunk, having started those behind it. */
  Fetched await(int chunk, int chunks) {
    readAhead(chunk, chunks);
    Load load = loads.get(chunk);
    if (load == null) {
      return Fetched.failed(Source.Problem.UNREADABLE);
    }
    try {
      long nanos = load.result.isDone() ? 0 : deadline.remainingNanos();
      return load.result.get(Math.max(0, nanos), TimeUnit.NANOSECONDS);
    } catch (InterruptedException interrupted) {
      Thread.currentThread().interrupt();
      return Fetched.failed(Source.Problem.UNREADABLE);
    } catch (TimeoutException | ExecutionException | CancellationException e) {
      return Fetched.failed(Source.Problem.UNREADABLE);
    }
  }

  /** Says that a chunk's part was used; kept for the next layer when {@code again} and buffers allow. */
  void used(int chunk, boolean again) {
    Load load = loads.get(chunk);
    if (load != null && !(again && load.buffer.retain())) {
      loads.remove(chunk);
      load.discard();
    }
  }

  /** Ends a pass over the chunks: what is not kept for the next layer is given back. */
  void passOver(boolean again) {
    for (Iterator<Load> each = loads.values().iterator(); each.hasNext();) {
      Load load = each.next();
      if (!(again && load.buffer.retain())) {
        each.remove();
        load.discard();
      }
    }
  }

  void discardAll() {
    loads.values().forEach(Load::discard);
    loads.clear();
  }
}
