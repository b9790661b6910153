package io.kvcache.internal.delay;

import io.kvcache.Encoding;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.MalformedDataException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * How long loading, storing and recomputing take: every {@link DelayLine} of a cache, learned while it works. Threads:
 * any; nothing here waits for anything.
 *
 * <p>A load's line has everything in it that its reader waits for: queueing, transfer and decoding. Its unit is a
 * stored byte. What has not been loaded from a tier in an encoding yet, or not for {@value #STALE_AFTER} loads of that
 * tier, is taken to be the tier's raw line plus the codec's decoding: as learned on another tier, else as calibrated. A
 * raw line nobody feeds is fed by the encoded loads, less their decoding: so every line of a tier follows when the
 * medium gets faster or slower, whatever is stored there.
 */
public final class DelayModel {
  /** By how much a line moves before it counts as changed. */
  private static final double CHANGE = 0.05;
  private static final long TYPICAL_BYTES = 1 << 20;
  private static final long TYPICAL_TOKENS = 4096;
  private static final long STALE_AFTER = 256;
  /** A raw line rests on raw loads alone once there were so many; till then what others took tells more of a tier. */
  private static final long RAW_LOADS = 8;
  private static final int CALIBRATED = LineFit.SEED_OBSERVATIONS;
  private static final int GUESSED = 0;
  /** Of an encoded load's time, at least this share is transfer. */
  private static final double LEAST_TRANSFER = 1.0 / 8;

  private final List<TierLines> tiers = new ArrayList<>();
  private final Map<Integer, CodecCost> codecs;
  /** What was last told of each line that anybody asked for. */
  private final Map<Subject, DelayLine> told = new LinkedHashMap<>();
  private LineFit recompute;
  private volatile boolean changed;

  /** What a line is about. */
  public sealed interface Subject {
    /** Loading in an encoding from a tier; a unit is a stored byte. */
    record Load(int tier, Encoding encoding) implements Subject {}

    /** Storing into a tier; a unit is a stored byte. */
    record Store(int tier) implements Subject {}

    /** Computing; a unit is a token. */
    record Recompute() implements Subject {}
  }

  /**
   * A line that is no longer what was told.
   *
   * @param subject what it is about
   * @param line as of now
   */
  public record Change(Subject subject, DelayLine line) {}

  /**
   * Encodings that are loaded alike, byte for byte stored: of one codec, with or without tokens dropped. A line for
   * each encoding would rest on few loads, of much the same size.
   */
  private record Family(int codec, boolean pruned) {
    static Family of(Encoding encoding) {
      return new Family(encoding.codec(), encoding.dropsTokens());
    }
  }

  /** A load line of one family. */
  private static final class EncodedLine {
    final LineFit fit;
    /** The one of the family that was loaded last, and which of the tier's loads that was. */
    Encoding last;
    long lastLoad;

    EncodedLine(LineFit fit) {
      this.fit = fit;
    }

    void loaded(Encoding encoding, long load) {
      last = encoding;
      lastLoad = load;
    }
  }

  private static final class TierLines {
    final String name;
    LineFit raw;
    LineFit store;
    final Map<Family, EncodedLine> encoded = new LinkedHashMap<>();
    long loads;
    long lastRawLoad;
    long rawLoads;

    TierLines(DelaySeeds.TierSeed seed) {
      name = seed.name();
      raw = bytes(seed.load(), seed.measured() ? CALIBRATED : GUESSED);
      store = bytes(seed.store(), seed.measured() ? CALIBRATED : GUESSED);
    }

    /** Whether raw loads of late speak for themselves. */
    boolean rawKnown() {
      return rawLoads >= RAW_LOADS && loads - lastRawLoad < STALE_AFTER;
    }

    /** The line learned for encodings other than raw; null when there is none of late. */
    EncodedLine fresh(Family family) {
      EncodedLine line = encoded.get(family);
      return line != null && loads - line.lastLoad < STALE_AFTER ? line : null;
    }
  }

  /** Starts with calibrated lines, or guesses. */
  public DelayModel(DelaySeeds seeds) {
    seeds.tiers().forEach(seed -> tiers.add(new TierLines(seed)));
    codecs = seeds.codecs();
    recompute = new LineFit(seeds.recompute(), GUESSED, TYPICAL_TOKENS, true);
  }

  private static LineFit bytes(DelayLine seed, int weight) {
    return new LineFit(seed, weight, TYPICAL_BYTES, false);
  }

  /** Takes note that {@code bytes} stored bytes took {@code nanos} to load from a tier and decode. */
  public synchronized void observeLoad(int tier, Encoding encoding, long bytes, long nanos) {
    TierLines lines = tiers.get(tier);
    lines.loads++;
    if (encoding.equals(Encoding.RAW)) {
      lines.rawLoads = lines.loads - lines.lastRawLoad < STALE_AFTER ? lines.rawLoads + 1 : 1;
      lines.lastRawLoad = lines.loads;
      lines.raw.observe(bytes, nanos);
    } else {
      EncodedLine line = lines.fresh(Family.of(encoding));
      if (line == null) {
        line = new EncodedLine(bytes(derived(tier, encoding), CALIBRATED));
        lines.encoded.put(Family.of(encoding), line);
      }
      line.loaded(encoding, lines.loads);
      line.fit.observe(bytes, nanos);
      if (!lines.rawKnown()) {
        double decoding = decodeSecondsPerByte(encoding.codec(), tier) * bytes * 1e9;
        lines.raw.observe(bytes, Math.round(Math.max(nanos - decoding, nanos * LEAST_TRANSFER)));
      }
    }
    lookForChange(new Subject.Load(tier, encoding));
    lookForChange(new Subject.Load(tier, Encoding.RAW));
  }

  /** Takes note that {@code bytes} took {@code nanos} to store in a tier. */
  public synchronized void observeStore(int tier, long bytes, long nanos) {
    tiers.get(tier).store.observe(bytes, nanos);
    lookForChange(new Subject.Store(tier));
  }

  /** Takes note that the engine took {@code nanos} to compute {@code tokens}. */
  public synchronized void observeRecompute(long tokens, long nanos) {
    recompute.observe(tokens, nanos);
    lookForChange(new Subject.Recompute());
  }

  /** Loading from a tier, decoding included; later changes of the line are reported. */
  public DelayLine load(int tier, Encoding encoding) {
    return tell(new Subject.Load(tier, Objects.requireNonNull(encoding, "encoding")));
  }

  /** Storing in a tier; later changes of the line are reported. */
  public DelayLine store(int tier) {
    return tell(new Subject.Store(tier));
  }

  /** Computing; later changes of the line are reported. */
  public DelayLine recompute() {
    return tell(new Subject.Recompute());
  }

  /** Whether computing was ever observed; else its line is a guess that says nothing. */
  public synchronized boolean recomputeKnown() {
    return recompute.observations() > 0;
  }

  /** Whether {@link #takeChanges} has something; costs nothing to ask. */
  public boolean changesWaiting() {
    return changed;
  }

  /**
   * The lines that predict something else, by more than 5 %, than when they were last asked for the first time or taken
   * here. Only lines that somebody asked for, and the raw line of a tier of which somebody did: since lines that are
   * derived move with it, it is what {@link #changesWaiting} looks at besides the line that was observed.
   */
  public synchronized List<Change> takeChanges() {
    changed = false;
    List<Change> changes = new ArrayList<>();
    for (Map.Entry<Subject, DelayLine> each : told.entrySet()) {
      DelayLine now = line(each.getKey());
      if (moved(each.getKey(), each.getValue(), now)) {
        each.setValue(now);
        changes.add(new Change(each.getKey(), now));
      }
    }
    return changes;
  }

  /** The lines as bytes, for {@link #restore}. */
  public synchronized byte[] save() {
    List<SavedLine> saved = new ArrayList<>();
    for (TierLines tier : tiers) {
      saved.add(new SavedLine(SavedLine.Kind.LOAD, tier.name, Encoding.RAW, tier.raw.state()));
      saved.add(new SavedLine(SavedLine.Kind.STORE, tier.name, Encoding.RAW, tier.store.state()));
      tier.encoded.keySet().stream().map(tier::fresh).filter(Objects::nonNull).forEach(
          line -> saved.add(new SavedLine(SavedLine.Kind.LOAD, tier.name, line.last, line.fit.state())));
    }
    saved.add(new SavedLine(SavedLine.Kind.RECOMPUTE, "", Encoding.RAW, recompute.state()));
    return SavedLine.encode(saved);
  }

  /**
   * Goes on with saved lines: those that rest on observations, of tiers of this cache. Without effect when the bytes
   * are not what {@link #save} gives.
   */
  public void restore(byte[] bytes) throws MalformedDataException {
    List<SavedLine> saved = SavedLine.decode(bytes);
    synchronized (this) {
      saved.stream().filter(line -> line.state().observations() > 0).forEach(this::restore);
      told.keySet().forEach(this::lookForChange);
    }
  }

  private void restore(SavedLine saved) {
    if (saved.kind() == SavedLine.Kind.RECOMPUTE) {
      recompute = LineFit.restore(saved.state(), TYPICAL_TOKENS, true);
      return;
    }
    for (TierLines tier : tiers) {
      if (tier.name.equals(saved.tier())) {
        LineFit fit = LineFit.restore(saved.state(), TYPICAL_BYTES, false);
        if (saved.kind() == SavedLine.Kind.STORE) {
          tier.store = fit;
        } else if (saved.encoding().equals(Encoding.RAW)) {
          tier.raw = fit;
          tier.lastRawLoad = tier.loads;
          tier.rawLoads = RAW_LOADS;
        } else {
          EncodedLine line = new EncodedLine(fit);
          line.loaded(saved.encoding(), tier.loads);
          tier.encoded.put(Family.of(saved.encoding()), line);
        }
      }
    }
  }

  private synchronized DelayLine tell(Subject subject) {
    if (subject instanceof Subject.Load(int tier, Encoding _)) {
      Subject raw = new Subject.Load(tier, Encoding.RAW);
      told.computeIfAbsent(raw, this::line); // Lines that are derived move with it.
    }
    DelayLine line = line(subject);
    told.putIfAbsent(subject, line);
    return line;
  }

  private DelayLine line(Subject subject) {
    return switch (subject) {
      case Subject.Load(int tier, Encoding encoding) -> {
        TierLines lines = tiers.get(tier);
        EncodedLine line = lines.fresh(Family.of(encoding));
        yield encoding.equals(Encoding.RAW) ? lines.raw.line()
            : line != null ? line.fit.line() : derived(tier, encoding);
      }
      case Subject.Store(int tier) -> tiers.get(tier).store.line();
      case Subject.Recompute() -> recompute.line();
    };
  }

  /** What loading in an encoding never seen on a tier is taken to be. */
  private DelayLine derived(int tier, Encoding encoding) {
    DelayLine raw = tiers.get(tier).raw.line();
    double decoding = decodeSecondsPerByte(encoding.codec(), tier);
    return new DelayLine(raw.secondsPerUnit() + decoding, raw.fixedSeconds());
  }

  /**
   * Decoding, for each stored byte: the difference to the raw line on the other tier where the codec was loaded most
   * often, if both lines rest on loads of their own; else as calibrated.
   */
  private double decodeSecondsPerByte(int codec, int except) {
    CodecCost calibrated = codecs.get(codec);
    double seconds = calibrated == null ? 0 : calibrated.decodeSecondsPerStoredByte();
    long most = 0;
    for (int i = 0; i < tiers.size(); i++) {
      TierLines tier = tiers.get(i);
      if (i == except || !tier.rawKnown()) {
        continue;
      }
      for (Family family : tier.encoded.keySet()) {
        EncodedLine line = tier.fresh(family);
        if (family.codec() == codec && line != null && line.fit.observations() > most) {
          most = line.fit.observations();
          seconds = Math.max(0, line.fit.line().secondsPerUnit() - tier.raw.line().secondsPerUnit());
        }
      }
    }
    return codec == 0 ? 0 : seconds;
  }

  private void lookForChange(Subject subject) {
    DelayLine before = told.get(subject);
    if (!changed && before != null && moved(subject, before, line(subject))) {
      changed = true;
    }
  }

  private static boolean moved(Subject subject, DelayLine before, DelayLine now) {
    long typical = subject instanceof Subject.Recompute ? TYPICAL_TOKENS : TYPICAL_BYTES;
    return now.differsFrom(before, CHANGE, typical);
  }
}
