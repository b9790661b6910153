package io.kvcache.internal.delay;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.DropMethod;
import io.kvcache.Encoding;
import io.kvcache.internal.delay.DelayModel.Change;
import io.kvcache.internal.delay.DelayModel.Subject;
import io.kvcache.internal.delay.DelaySeeds.TierSeed;
import io.kvcache.spi.DelayLine;
import io.kvcache.spi.MalformedDataException;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;

class DelayModelTest {
  private static final Encoding INT4 = Encoding.of(4);
  private static final Encoding HALF = INT4.keeping(DropMethod.KNORM, 50);
  private static final long MIB = 1 << 20;

  private static DelayModel model(String... names) {
    List<TierSeed> tiers =
        Arrays.stream(names).map(name -> new TierSeed(name, line(1), line(2), true)).toList();
    return new DelayModel(
        new DelaySeeds(tiers, Map.of(4, new CodecCost(1e-9, 0.5e-9, 0.25)), DelaySeeds.RECOMPUTE_GUESS));
  }

  private static DelayLine line(double nanosPerByte) {
    return new DelayLine(nanosPerByte * 1e-9, 0);
  }

  private static void loads(DelayModel model, int tier, Encoding encoding, double nanosPerByte, int count) {
    for (int i = 0; i < count; i++) {
      long bytes = MIB << i % 4;
      model.observeLoad(tier, encoding, bytes, Math.round(nanosPerByte * bytes));
    }
  }

  private static double nanosPerByte(DelayLine line) {
    return line.seconds(4 * MIB) * 1e9 / (4 * MIB);
  }

  @Test
  void startsWithTheSeeds() {
    DelayModel model = model("dram", "ssd");
    assertEquals(1, nanosPerByte(model.load(0, Encoding.RAW)), 1e-9);
    assertEquals(2, nanosPerByte(model.store(1)), 1e-9);
    assertEquals(3, nanosPerByte(model.load(1, INT4)), 1e-9,
        "half a nanosecond for each of 4 bytes out of one");
    assertEquals(3, nanosPerByte(model.load(1, HALF)), 1e-9);
    assertEquals(1, nanosPerByte(model.load(1, Encoding.of(9))), 1e-9, "a codec nobody measured");
    assertEquals(DelaySeeds.RECOMPUTE_GUESS, model.recompute());
  }

  @Test
  void learnsEachLine() {
    DelayModel model = model("dram", "ssd");
    loads(model, 0, Encoding.RAW, 0.3, 40);
    loads(model, 1, INT4, 7, 40);
    for (int i = 0; i < 40; i++) {
      model.observeStore(1, MIB << i % 4, 9 * MIB << i % 4);
      model.observeRecompute(1000 + 100 * i, (1000 + 100 * i) * 50_000L);
    }
    assertEquals(0.3, nanosPerByte(model.load(0, Encoding.RAW)), 0.02);
    assertEquals(7, nanosPerByte(model.load(1, INT4)), 0.4);
    assertEquals(9, nanosPerByte(model.store(1)), 0.5);
    assertEquals(2, nanosPerByte(model.store(0)), 1e-9);
    assertEquals(0.2, model.recompute().seconds(4000), 0.01);
  }

  @Test
  void decodingIsLearnedOnOtherTiers() {
    DelayModel model = model("dram", "ssd");
    loads(model, 0, Encoding.RAW, 1, 40);
    loads(model, 0, INT4, 9, 40);
    assertEquals(9, nanosPerByte(model.load(1, INT4)), 0.5, "1 to transfer, 8 to decode");
    assertEquals(9, nanosPerByte(model.load(1, HALF)), 0.5);
  }

  @Test
  void everyLineFollowsAMediumThatIsOnlyReadEncoded() {
    DelayModel model = model("dram", "ssd");
    loads(model, 1, Encoding.RAW, 1, 40);
    loads(model, 1, INT4, 42, 300);
    assertEquals(40, nanosPerByte(model.load(1, Encoding.RAW)), 3, "less 2 for decoding");
    assertEquals(42, nanosPerByte(model.load(1, HALF)), 3);
    DelayModel mostlyRaw = model("dram", "ssd");
    loads(mostlyRaw, 1, Encoding.RAW, 1, 40);
    loads(mostlyRaw, 1, INT4, 42, 40);
    assertEquals(1, nanosPerByte(mostlyRaw.load(1, Encoding.RAW)), 0.1,
        "raw loads of late speak for themselves");
  }

  /** Goal: a tier that calibration took for fast by the byte is put right by whatever is loaded, and not by a few. */
  @Test
  void fewRawLoadsDoNotHideWhatOthersTake() {
    DelayModel model = model("dram", "ssd");
    loads(model, 1, Encoding.RAW, 1, 1);
    loads(model, 1, INT4, 42, 20);
    loads(model, 1, HALF, 42, 20);
    assertEquals(40, nanosPerByte(model.load(1, Encoding.RAW)), 4);
  }

  /** Goal: encodings of one codec share what was learned, so that few loads of each suffice. */
  @Test
  void encodingsOfOneCodecShareALine() {
    DelayModel model = model("dram");
    for (int percent = 10; percent < 50; percent++) {
      model.observeLoad(0, INT4.keeping(DropMethod.KNORM, percent), (long) percent << 16,
          (long) (30.0 * (percent << 16)));
    }
    assertEquals(30, nanosPerByte(model.load(0, INT4.keeping(DropMethod.H2O, 90))), 2);
    assertEquals(28, nanosPerByte(model.load(0, Encoding.of(8))), 2,
        "another codec, which takes no time to decode");
  }

  @Test
  void anEncodingNotSeenForLongFollowsTheTier() {
    DelayModel model = model("ssd");
    loads(model, 0, INT4, 50, 40);
    loads(model, 0, Encoding.RAW, 1, 255);
    assertEquals(50, nanosPerByte(model.load(0, INT4)), 4);
    loads(model, 0, Encoding.RAW, 1, 1);
    assertEquals(3, nanosPerByte(model.load(0, INT4)), 0.2);
  }

  @Test
  void tellsOfRealChangesOnly() {
    DelayModel model = model("dram", "ssd");
    loads(model, 0, Encoding.RAW, 3, 40);
    assertTrue(model.takeChanges().isEmpty(), "nobody asked");
    model.load(0, Encoding.RAW);
    model.load(1, INT4);
    loads(model, 0, Encoding.RAW, 3.05, 40);
    assertFalse(model.changesWaiting());
    loads(model, 0, Encoding.RAW, 4, 40);
    loads(model, 1, Encoding.RAW, 5, 40);
    assertTrue(model.changesWaiting());
    List<Change> changes = model.takeChanges();
    assertEquals(
        List.of(new Subject.Load(0, Encoding.RAW), new Subject.Load(1, Encoding.RAW),
            new Subject.Load(1, INT4)),
        changes.stream().map(Change::subject).toList(), "an encoding never seen moves with the tier");
    assertEquals(4, nanosPerByte(changes.getFirst().line()), 0.2);
    assertFalse(model.changesWaiting());
    assertTrue(model.takeChanges().isEmpty());
  }

  @Test
  void restartContinues() throws MalformedDataException {
    DelayModel model = model("dram", "ssd");
    loads(model, 0, Encoding.RAW, 0.3, 40);
    loads(model, 1, HALF, 7, 40);
    model.observeStore(1, MIB, 9 * MIB);
    model.observeRecompute(1000, 50_000_000);
    DelayModel next = model("ssd", "other");
    next.load(0, HALF);
    next.restore(model.save());
    assertTrue(next.changesWaiting());
    assertEquals(model.load(1, HALF), next.load(0, HALF));
    assertEquals(model.store(1), next.store(0));
    assertEquals(model.recompute(), next.recompute());
    assertEquals(line(1), next.load(1, Encoding.RAW), "a tier that was not there keeps its seed");
  }

  @Test
  void damageIsFoundAndChangesNothing() {
    DelayModel model = model("dram", "ssd");
    loads(model, 1, HALF, 7, 40);
    byte[] saved = model.save();
    DelayModel next = model("dram", "ssd");
    for (int bit = 0; bit < saved.length * 8; bit++) {
      byte[] damaged = saved.clone();
      damaged[bit / 8] ^= (byte) (1 << bit % 8);
      assertThrows(MalformedDataException.class, () -> next.restore(damaged), "bit " + bit);
    }
    for (int length = 0; length < saved.length; length++) {
      byte[] damaged = Arrays.copyOf(saved, length);
      assertThrows(MalformedDataException.class, () -> next.restore(damaged), "length " + length);
    }
    assertEquals(3, nanosPerByte(next.load(1, HALF)), 1e-9);
  }

  /** Behind a right checksum anything may stand: an error or lines that can be, nothing else. */
  @Test
  void forgeryIsHarmless() {
    DelayModel model = model("dram", "ssd");
    loads(model, 1, HALF, 7, 40);
    byte[] saved = model.save();
    SplittableRandom random = new SplittableRandom(11);
    int rejected = 0;
    for (int run = 0; run < 5000; run++) {
      byte[] forged = saved.clone();
      for (int i = 0; i <= random.nextInt(3); i++) {
        forged[8 + random.nextInt(forged.length - 12)] = (byte) random.nextInt();
      }
      CRC32C crc = new CRC32C();
      crc.update(forged, 0, forged.length - 4);
      for (int i = 0; i < 4; i++) {
        forged[forged.length - 4 + i] = (byte) (crc.getValue() >>> 8 * i);
      }
      DelayModel next = model("dram", "ssd");
      try {
        next.restore(forged);
        loads(next, 1, HALF, 7, 3);
        assertTrue(Double.isFinite(next.load(1, HALF).seconds(MIB)), "run " + run);
      } catch (MalformedDataException e) {
        rejected++;
      }
    }
    assertTrue(rejected > 500, "rejected " + rejected);
  }

  /** Numbers so large that predictions would be infinite, or nonsense, are no line. */
  @Test
  void savedLinesAreOfSomethingThatThereIs() throws Exception {
    for (DelayLine line : List.of(new DelayLine(1e300, 0), new DelayLine(0, 1e300),
        new DelayLine(0, -1e300))) {
      byte[] saved = SavedLine.encode(List.of(
          new SavedLine(SavedLine.Kind.STORE, "ssd", Encoding.RAW, new LineFit.State(line, 9))));
      assertThrows(MalformedDataException.class, () -> model("dram", "ssd").restore(saved), line.toString());
    }
    byte[] usual = SavedLine.encode(List.of(new SavedLine(SavedLine.Kind.STORE, "ssd", Encoding.RAW,
        new LineFit.State(new DelayLine(1e-9, 1e-4), 9))));
    model("dram", "ssd").restore(usual);
  }
}
