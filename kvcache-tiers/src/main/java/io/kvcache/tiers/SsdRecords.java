package io.kvcache.tiers;

import io.kvcache.spi.EntryId;
import io.kvcache.spi.MalformedDataException;
import io.kvcache.spi.TierEntry;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.lang.foreign.MemorySegment;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;

/**
 * The entries as the index has them: looks them up, and changes them one call at a time. Once a change has failed
 * it takes no others, because what is on disk is then uncertain. Thread-safe.
 */
final class SsdRecords {
  private static final System.Logger LOG = System.getLogger(SsdTier.class.getName());

  private final String owner;
  private final SsdIndex index;
  private final Runnable onFailure;
  private final AtomicLong entries;
  private final AtomicLong nextSequence;
  private final AtomicLong damaged;

  /** Held from looking a record up until it is replaced, so that nobody's extents are freed twice or forgotten. */
  private final ReentrantLock lock = new ReentrantLock();

  private volatile IOException failure;

  /**
   * Over what a survey found.
   *
   * @param owner the tier, as messages call it
   * @param onFailure run at the first failure
   */
  SsdRecords(String owner, SsdIndex index, SsdSurvey survey, Runnable onFailure) {
    this.owner = owner;
    this.index = index;
    this.onFailure = onFailure;
    entries = new AtomicLong(survey.entries());
    nextSequence = new AtomicLong(survey.lastSequence() + 1);
    damaged = new AtomicLong(survey.damaged());
  }

  long entries() {
    return entries.get();
  }

  /** Records that did not check out, when the store was opened and since. */
  long damaged() {
    return damaged.get();
  }

  boolean writable() {
    return failure == null;
  }

  /** What to throw where writes are asked for and not taken. */
  IOException refusal() {
    return new IOException(owner + " takes no writes until it has been opened again", failure);
  }

  /** Ends all writing, because what is on disk now is uncertain; returns what to throw. */
  IOException fail(IOException cause) {
    synchronized (this) {
      if (failure != null) {
        return cause;
      }
      failure = cause;
    }
    LOG.log(Level.WARNING, "{0} takes no more writes: {1}", owner, cause.getMessage());
    onFailure.run();
    return cause;
  }

  /** The entry under {@code key}, if there is one. */
  Optional<SsdEntry> find(byte[] key) throws IOException, MalformedDataException {
    byte[] record = index.record(key);
    if (record == null) {
      return Optional.empty();
    }
    try {
      return Optional.of(SsdEntry.decode(key, record));
    } catch (MalformedDataException e) {
      damaged.incrementAndGet();
      throw e;
    }
  }

  /**
   * Publishes an entry; returns the one it takes the place of, which is then durably gone.
   *
   * @param parts where its parts are, those in extents durable already
   * @param staged bytes of all parts, of which the small ones are taken
   */
  Optional<SsdEntry> replace(EntryId id, List<SsdEntry.Part> parts, byte[] note, MemorySegment[] staged)
      throws IOException {
    byte[] key = SsdEntry.key(id);
    SsdEntry entry = new SsdEntry(nextSequence.getAndIncrement(), parts, note);
    Optional<SsdEntry> older;
    lock.lock();
    try {
      older = findSound(key);
      change(batch -> {
        if (older.isPresent()) {
          batch.deleteParts(older.get());
        }
        putParts(batch, entry, staged);
        batch.put(key, entry.encode(key));
      });
      entries.addAndGet(older.isPresent() ? 0 : 1);
    } finally {
      lock.unlock();
    }
    if (older.isPresent()) {
      sync();
    }
    return older;
  }

  /** Takes entries out; returns those that were there, durably gone. */
  Map<EntryId, SsdEntry> remove(Collection<EntryId> ids) throws IOException {
    Map<EntryId, SsdEntry> removed = new HashMap<>();
    lock.lock();
    try {
      for (EntryId id : ids) {
        findSound(SsdEntry.key(id)).ifPresent(entry -> removed.put(id, entry));
      }
      change(batch -> {
        for (EntryId id : ids) {
          batch.delete(SsdEntry.key(id));
        }
        for (SsdEntry entry : removed.values()) {
          batch.deleteParts(entry);
        }
      });
      entries.addAndGet(-removed.size());
    } finally {
      lock.unlock();
    }
    sync();
    return removed;
  }

  /** Gives entries that are there other notes. */
  void annotate(Map<EntryId, byte[]> notes) throws IOException {
    lock.lock();
    try {
      Map<byte[], SsdEntry> changed = new HashMap<>(); // by identity of the keys, each of which is there once
      for (Map.Entry<EntryId, byte[]> note : notes.entrySet()) {
        byte[] key = SsdEntry.key(note.getKey());
        findSound(key).ifPresent(entry -> changed.put(key, entry.withNote(note.getValue())));
      }
      change(batch -> {
        for (Map.Entry<byte[], SsdEntry> entry : changed.entrySet()) {
          batch.put(entry.getKey(), entry.getValue().encode(entry.getKey()));
        }
      });
    } finally {
      lock.unlock();
    }
  }

  /** Lists all entries; records that do not check out are passed over. */
  void list(Consumer<TierEntry> listed) throws IOException {
    index.scan((key, record) -> {
      TierEntry entry;
      try {
        SsdEntry stored = SsdEntry.decode(key, record);
        long bytes = stored.indexBytes() + stored.pages() * Pages.BYTES;
        entry = new TierEntry(SsdEntry.id(key), stored.note(), bytes);
      } catch (MalformedDataException e) {
        damaged.incrementAndGet();
        return;
      }
      listed.accept(entry);
    });
  }

  /** Returns once all changes before the call survive power loss. */
  void sync() throws IOException {
    try {
      index.sync();
    } catch (IOException e) {
      throw fail(e);
    }
  }

  /** What goes into a batch. */
  @FunctionalInterface
  private interface Changes {
    void into(SsdIndex.Batch batch) throws IOException;
  }

  private void change(Changes changes) throws IOException {
    boolean changed;
    try (SsdIndex.Batch batch = index.batch()) {
      changes.into(batch);
      changed = batch.write();
    } catch (IOException e) {
      throw fail(e);
    }
    if (!changed) {
      throw new IOException(owner + " takes no writes now: its index is stalled, as on a full disk");
    }
  }

  private static void putParts(SsdIndex.Batch batch, SsdEntry entry, MemorySegment[] staged)
      throws IOException {
    for (int i = 0; i < staged.length; i++) {
      SsdEntry.Part part = entry.parts().get(i);
      if (part.small()) {
        batch.putPart(entry.sequence(), i, staged[i].asSlice(0, part.bytes()));
      }
    }
  }

  /** As {@link #find}; a damaged record is none, and its pages stay taken until the store is opened again. */
  private Optional<SsdEntry> findSound(byte[] key) throws IOException {
    try {
      return find(key);
    } catch (MalformedDataException e) {
      return Optional.empty();
    }
  }
}
