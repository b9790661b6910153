package io.kvcache.internal.engine;

import io.kvcache.internal.frame.FrameHeader;
import io.kvcache.internal.frame.FrameReader;
import io.kvcache.internal.tree.Stored;
import io.kvcache.spi.Deadline;
import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.ReadResult;
import io.kvcache.spi.TierView;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * One entry to read from: in place where its tier is memory, else part by part into staging buffers. Not thread-safe,
 * but {@link #fetch} may run on an I/O thread while its caller waits.
 */
final class Source implements AutoCloseable {
  private final Resources shared;
  private final TierHandle tier;
  private final EntryId id;
  private final Stored stored;
  private final TierView view;
  private volatile FrameReader reader;

  private Source(Resources shared, EntryId id, Stored stored, TierView view) {
    this.shared = shared;
    this.tier = shared.tiers.get(stored.tier());
    this.id = id;
    this.stored = stored;
    this.view = view;
  }

  /** A source for an entry; null when it is in memory no more. */
  static Source open(Resources shared, EntryId id, Stored stored) {
    TierHandle tier = shared.tiers.get(stored.tier());
    TierView view = tier.addressable() ? tier.view(id).orElse(null) : null;
    return tier.addressable() && view == null ? null : new Source(shared, id, stored, view);
  }

  /** Why bytes cannot be used. */
  enum Problem {
    /** The tier has no such entry any more. */
    MISSING,
    /** The medium failed, or the time is over; the entry may be fine. */
    UNREADABLE,
    /** The chunk may not be used any more. */
    EXPIRED
  }

  /** What a fetch gave: a buffer with the part, or why there is none. */
  record Fetched(Staging.Buffer buffer, Problem problem,
      MalformedDataException malformed) implements AutoCloseable {
    static Fetched failed(Problem problem) {
      return new Fetched(null, problem, null);
    }

    @Override
    public void close() {
      if (buffer != null) {
        buffer.close();
      }
    }
  }

  EntryId id() {
    return id;
  }

  Stored stored() {
    return stored;
  }

  boolean inPlace() {
    return view != null;
  }

  /** A part in place, with its header read and verified; null when the chunk has expired. */
  MemorySegment part(int number) throws MalformedDataException {
    if (reader == null && !open(view.part(0).toArray(ValueLayout.JAVA_BYTE))) {
      return null;
    }
    if (number >= view.parts()) {
      throw new MalformedDataException("entry has " + view.parts() + " parts, part " + number + " is wanted");
    }
    return view.part(number);
  }

  /** Reads a part, and the header before it where that is not known yet, into {@code buffer}, which it takes over. */
  Fetched fetch(int number, Staging.Buffer buffer, Deadline deadline) {
    try {
      if (reader == null) {
        ReadResult header = tier.read(id, 0, buffer.segment(), deadline);
        if (!(header instanceof ReadResult.Present(long bytes))) {
          return failed(buffer, header);
        }
        if (!open(buffer.segment().asSlice(0, bytes).toArray(ValueLayout.JAVA_BYTE))) {
          buffer.close();
          return Fetched.failed(Problem.EXPIRED);
        }
        if (number == 0) {
          return new Fetched(buffer, null, null);
        }
      }
      ReadResult result = tier.read(id, number, buffer.segment(), deadline);
      if (!(result instanceof ReadResult.Present)) {
        return failed(buffer, result);
      }
      return new Fetched(buffer, null, null);
    } catch (MalformedDataException e) {
      buffer.close();
      return new Fetched(null, null, e);
    }
  }

  private static Fetched failed(Staging.Buffer buffer, ReadResult result) {
    buffer.close();
    return Fetched.failed(result instanceof ReadResult.Missing ? Problem.MISSING : Problem.UNREADABLE);
  }

  /** Takes a copy of the header, so that what was verified stays what is used; false when the chunk has expired. */
  private boolean open(byte[] header) throws MalformedDataException {
    FrameHeader read =
        FrameHeader.read(shared.plan, MemorySegment.ofArray(header), id, stored.generation());
    if (shared.expired(Stored.expiry(read.expiryMillis()))) {
      return false;
    }
    if (!read.encoding().equals(stored.encoding())) {
      throw new MalformedDataException("frame is " + read.encoding() + ", expected " + stored.encoding());
    }
    reader = new FrameReader(read, shared.codecs, id, stored.generation());
    return true;
  }

  /** Reads verified KV; there is one once a part was had. */
  FrameReader reader() {
    return reader;
  }

  @Override
  public void close() {
    if (view != null) {
      view.close();
    }
  }
}
