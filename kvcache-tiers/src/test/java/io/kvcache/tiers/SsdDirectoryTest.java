package io.kvcache.tiers;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.testkit.Payloads;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.zip.CRC32C;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a directory must be to become or be a tier's, and what is said when it is not. */
final class SsdDirectoryTest {
  private static final long CAPACITY = 16 << 20;

  @TempDir
  Path scratch;

  private Path directory() {
    return scratch.resolve("deep").resolve("tier");
  }

  @Test
  void createdForItsOwnerOnly() throws IOException {
    try (SsdTier tier = SsdTier.builder(directory(), CAPACITY).open()) {
      assertTrue(Entries.store(tier, Payloads.entry(1), 1, 100, 100_000));
      assertEquals("rwx------", permissions(directory()));
      assertEquals("rwx------", permissions(directory().resolve("index")));
      for (String file : new String[] {"kvcache-ssd", "lock", "extents-00000"}) {
        assertEquals("rw-------", permissions(directory().resolve(file)), file);
      }
    }
  }

  @Test
  void usedOnceAtATime() throws IOException {
    SsdTier first = SsdTier.builder(directory(), CAPACITY).open();
    assertRefused(CAPACITY, "in use by another tier of this process");
    assertTrue(Entries.store(first, Payloads.entry(1), 1, 100_000), "the first one is unharmed");
    first.close();
    SsdTier.builder(directory(), CAPACITY).open().close();
  }

  @Test
  void notUsedByTwoProcesses() throws Exception {
    Process other = Children.start(SsdChild.class, "hold", directory().toString());
    try {
      assertEquals("ready", Children.line(other));
      assertRefused(CAPACITY, "in use by another process");
    } finally {
      other.toHandle().destroyForcibly();
      other.waitFor();
    }
    SsdTier.builder(directory(), CAPACITY).open().close();
  }

  @Test
  void foreignDirectoryIsLeftAlone() throws IOException {
    Files.createDirectories(directory());
    Path letter = Files.writeString(directory().resolve("letter.txt"), "not yours");
    assertRefused(CAPACITY, "letter.txt");
    assertEquals("not yours", Files.readString(letter));
    Files.delete(letter);
    SsdTier.builder(directory(), CAPACITY).open().close(); // what the refusal left does not stand in the way
  }

  @Test
  void fileIsNoDirectory() throws IOException {
    Files.createDirectories(directory().getParent());
    Files.writeString(directory(), "a file");
    assertThrows(IOException.class, () -> SsdTier.builder(directory(), CAPACITY).open());
  }

  @Test
  void otherFormatVersionIsNamed() throws IOException {
    SsdTier.builder(directory(), CAPACITY).open().close();
    Path marker = directory().resolve("kvcache-ssd");
    ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(marker)).order(ByteOrder.LITTLE_ENDIAN);
    for (int copy : new int[] {0, 4096}) {
      bytes.putInt(copy + 12, 99);
      CRC32C crc = new CRC32C();
      crc.update(bytes.slice(copy, 60));
      bytes.putInt(copy + 60, (int) crc.getValue());
    }
    Files.write(marker, bytes.array());
    assertRefused(CAPACITY, "format version 99");
  }

  @Test
  void markerSurvivesDamageToEitherCopy() throws IOException {
    SsdTier.builder(directory(), CAPACITY).open().close();
    Path marker = directory().resolve("kvcache-ssd");
    byte[] sound = Files.readAllBytes(marker);
    for (int at = 0; at < sound.length; at = at == 63 ? 4096 : at + 1) {
      byte[] damaged = sound.clone();
      damaged[at] ^= 0x10;
      Files.write(marker, damaged);
      SsdMarker.ensure(directory());
    }
    byte[] both = sound.clone();
    both[20] ^= 1;
    both[4096 + 13] ^= 1;
    Files.write(marker, both);
    assertRefused(CAPACITY, "damaged");
    Files.write(marker, new byte[0]);
    assertRefused(CAPACITY, "damaged");
  }

  @Test
  void absurdCapacitiesAreNamed() {
    for (long capacity : new long[] {-1, 0, 4096, SsdTier.MIN_CAPACITY_BYTES - 1}) {
      IllegalArgumentException e = assertThrows(IllegalArgumentException.class,
          () -> SsdTier.builder(directory(), capacity));
      assertTrue(e.getMessage().contains(capacity + ", must be at least " + SsdTier.MIN_CAPACITY_BYTES),
          e.getMessage());
    }
    IllegalArgumentException e = assertThrows(IllegalArgumentException.class,
        () -> SsdTier.builder(directory(), Long.MAX_VALUE).open());
    assertTrue(e.getMessage().contains("capacityBytes is " + Long.MAX_VALUE), e.getMessage());
    assertThrows(IllegalArgumentException.class,
        () -> SsdTier.builder(directory(), CAPACITY).stagingBytes(0));
    assertThrows(IllegalArgumentException.class,
        () -> SsdTier.builder(directory(), CAPACITY).freeSpaceFloorBytes(-1));
    assertThrows(IllegalArgumentException.class, () -> SsdTier.builder(directory(), CAPACITY).name(" "));
  }

  @Test
  void nothingIsStoredBelowTheFloor() throws IOException {
    try (SsdTier tier = SsdTier.builder(directory(), CAPACITY).freeSpaceFloorBytes(Long.MAX_VALUE).open()) {
      long used = tier.usage().usedBytes();
      assertFalse(Entries.store(tier, Payloads.entry(1), 1, 100, 100_000));
      assertEquals(used, tier.usage().usedBytes(), "a refused claim gives everything back");
    }
  }

  private void assertRefused(long capacity, String why) {
    IOException e = assertThrows(IOException.class, () -> SsdTier.builder(directory(), capacity).open());
    assertTrue(e.getMessage().contains(why) && e.getMessage().contains(directory().toString()),
        e.getMessage());
  }

  private static String permissions(Path path) throws IOException {
    return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
  }
}
