package io.kvcache.compress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.kvcache.spi.Compressor;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** The list of codecs, and that numbers and names stay what they are. */
class CompressorsTest {
  private static final Pattern NUMBERED = Pattern.compile("\\| (\\d+) \\| ([^|]+) \\|.*");

  @Test
  void noTwoCodecsShareNumberOrName() {
    Map<Integer, String> names = new HashMap<>();
    Set<String> seen = new HashSet<>();
    for (Compressor codec : Compressors.all()) {
      assertNull(names.put(codec.codec(), codec.name()), "codec " + codec.codec() + " is there twice");
      assertTrue(seen.add(codec.name()), "two codecs are called " + codec.name());
      assertFalse(codec.name().equals("raw"), "that is what no codec is called");
    }
  }

  /** Goal: a number is never given another meaning. Method: what {@code FORMAT.md} says a number means. */
  @Test
  void numbersMeanWhatTheFormatSays() throws IOException {
    Map<Integer, String> format = numbersOfTheFormat();
    assertTrue(format.entrySet().containsAll(Map.of(0, "raw", 1, "lz4", 2, "int8", 3, "int4").entrySet()),
        "released numbers have changed their meaning: " + format);
    for (Compressor codec : Compressors.all()) {
      assertEquals(codec.name(), format.get(codec.codec()),
          "what FORMAT.md, section 5, says that codec " + codec.codec() + " is");
    }
  }

  private static Map<Integer, String> numbersOfTheFormat() throws IOException {
    Map<Integer, String> numbers = new HashMap<>();
    boolean inCodecs = false;
    for (String line : Files.readAllLines(Path.of("../FORMAT.md"))) {
      if (line.startsWith("## ") || line.startsWith("### ")) {
        inCodecs = line.startsWith("## 5.");
      }
      Matcher row = NUMBERED.matcher(line);
      if (inCodecs && row.matches()) {
        assertNull(numbers.put(Integer.valueOf(row.group(1)), row.group(2).strip()), "twice: " + line);
      }
    }
    return numbers;
  }

  @Test
  void listIsInOrder() {
    List<Compressor> all = Compressors.all();
    List<Integer> numbers = all.stream().map(Compressor::codec).toList();
    Compressors.standard().forEach(codec -> assertTrue(numbers.contains(codec.codec()), codec.name()));
    for (int at = 1; at < all.size(); at++) {
      assertTrue(all.get(at).nominalQuality() <= all.get(at - 1).nominalQuality(),
          () -> all.stream().map(codec -> codec.name() + " " + codec.nominalQuality())
              .collect(Collectors.joining(", ")) + ": most faithful first");
    }
  }
}
