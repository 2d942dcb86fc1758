// Any objects, glyphs and style on any picture: nothing but the picture's own samples is written,
// I420 and NV12 get the same ones, and what has the ink's colour already keeps it.

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "cc/annotate/annotate.h"
#include "cc/fuzz_input.h"

namespace roadmark {
namespace {

constexpr uint8_t kForeign = 171;  // Of the bytes before, between and after the rows.

// Planes whose rows lie apart, perhaps from the last one on.
struct Picture {
  Picture(const Canvas& like, int64_t gap, bool is_upside_down, const uint8_t* fill)
      : canvas(like) {
    const int64_t chroma_height = (like.height + 1) / 2, chroma_width = (like.width + 1) / 2;
    switch (like.layout) {
      case PixelLayout::kRgb:
        Add(like.height, like.width, 3, gap, is_upside_down, fill);
        break;
      case PixelLayout::kI420:
        Add(like.height, like.width, 1, gap, is_upside_down, fill);
        Add(chroma_height, chroma_width, 1, gap, is_upside_down, fill + 1);
        Add(chroma_height, chroma_width, 1, gap, is_upside_down, fill + 2);
        break;
      case PixelLayout::kNv12:
        Add(like.height, like.width, 1, gap, is_upside_down, fill);
        Add(chroma_height, chroma_width, 2, gap, is_upside_down, fill + 1);
        break;
    }
    for (size_t i = 0; i < planes.size(); ++i) {
      canvas.planes[i].samples = planes[i].data() + offsets[i];
    }
  }

  void Add(int64_t rows, int64_t columns, int64_t channels, int64_t gap, bool is_upside_down,
           const uint8_t* fill) {
    const int64_t stride = columns * channels + gap;
    std::vector<uint8_t> plane(rows * stride + gap, kForeign);
    for (int64_t y = 0; y < rows; ++y) {
      for (int64_t k = 0; k < columns * channels; ++k) {
        plane[gap + y * stride + k] = fill[k % channels];
      }
    }
    offsets.push_back(gap + (is_upside_down ? (rows - 1) * stride : 0));
    canvas.planes[planes.size()].stride = is_upside_down ? -stride : stride;
    planes.push_back(std::move(plane));
  }

  // Rows without what lies between them; Cb and Cr of NV12 apart.
  std::vector<std::vector<uint8_t>> Samples() const {
    std::vector<std::vector<uint8_t>> samples;
    for (size_t i = 0; i < planes.size(); ++i) {
      const bool is_chroma = i > 0, is_nv12 = canvas.layout == PixelLayout::kNv12;
      const int64_t rows = is_chroma ? (canvas.height + 1) / 2 : canvas.height;
      const int64_t columns = is_chroma ? (canvas.width + 1) / 2 : canvas.width;
      const int64_t step = canvas.layout == PixelLayout::kRgb ? 3 : is_chroma && is_nv12 ? 2 : 1;
      for (int64_t c = 0; c < step; ++c) {
        samples.emplace_back();
        for (int64_t y = 0; y < rows; ++y) {
          const uint8_t* row = canvas.planes[i].samples + y * canvas.planes[i].stride;
          for (int64_t x = 0; x < columns; ++x) samples.back().push_back(row[x * step + c]);
        }
      }
    }
    return samples;
  }

  Canvas canvas;
  std::vector<int64_t> offsets;
  std::vector<std::vector<uint8_t>> planes;
};

// In pixels: around the picture, far away, infinite.
float Coordinate(FuzzInput& input) {
  const float value = input.Float() * (input.Flag() ? 16.0f : 1.0f);
  return std::isnan(value) ? 0.0f : value;
}

struct AnyObjects {
  AnyObjects(FuzzInput& input, int64_t height, int64_t width) : count(input.Integer(0, 6)) {
    const bool has_masks = input.Flag(), has_trails = input.Flag();
    for (int64_t i = 0; i < count; ++i) {
      boxes.push_back({Coordinate(input), Coordinate(input), Coordinate(input), Coordinate(input)});
      labels.emplace_back();
      for (int64_t k = input.Integer(0, 5); k > 0; --k) {
        labels.back().push_back(static_cast<char32_t>(input.Integer('a', 'f')));
      }
      for (int64_t k = has_trails ? input.Integer(0, 6) : 0; k > 0; --k) {
        const float y = Coordinate(input), x = Coordinate(input);
        if (std::isfinite(y) && std::isfinite(x)) trail.push_back({y, x});
      }
      ends.push_back(static_cast<int64_t>(trail.size()));
    }
    if (has_masks) {
      masks = input.Bytes(count * height * width);
      for (uint8_t& value : masks) value = value % 3 == 1;
    }
  }

  Objects With(const std::vector<uint8_t>& colours) const {
    return {count,          boxes.data(),  colours.data(),
            colours.data(), labels.data(), masks.empty() ? nullptr : masks.data(),
            trail.data(),   ends.data()};
  }

  int64_t count;
  std::vector<Box> boxes;
  std::vector<std::u32string> labels;
  std::vector<uint8_t> masks;
  std::vector<Point> trail;
  std::vector<int64_t> ends;
};

// Rarely as large as an atlas may have it.
int64_t Length(FuzzInput& input) {
  return input.Integer(0, 15) ? input.Integer(0, 12) : input.Integer(0, 65535);
}

int32_t Offset(FuzzInput& input) {
  return static_cast<int32_t>(input.Flag() ? Length(input) : -Length(input));
}

struct AnyAtlas {
  explicit AnyAtlas(FuzzInput& input) : coverage(input.Bytes(input.Integer(0, 64))) {
    const auto size = static_cast<int64_t>(coverage.size());
    for (int32_t code_point = 'a'; code_point < 'a' + 4; ++code_point) {
      const int64_t width = input.Integer(0, 8), offset = input.Integer(0, size);
      const int64_t height = std::min(input.Integer(0, 8), width ? (size - offset) / width : 8);
      glyphs.push_back({code_point, Offset(input), Offset(input), static_cast<int32_t>(width),
                        static_cast<int32_t>(height), Offset(input), static_cast<int32_t>(offset)});
    }
    line_height = std::max<int64_t>(Length(input), 1);
  }

  GlyphAtlas View() const {
    return {glyphs.data(), static_cast<int64_t>(glyphs.size()), coverage.data(), line_height};
  }

  std::vector<uint8_t> coverage;
  std::vector<Glyph> glyphs;
  int64_t line_height;
};

void FuzzAnnotate(FuzzInput& input) {
  const int64_t height = input.Integer(1, 40), width = input.Integer(1, 60);
  const int64_t gap = input.Integer(0, 9);
  const bool is_upside_down = input.Flag();
  const YuvEncoding encoding = {input.Flag() ? 0.299 : 0.2126, input.Flag() ? 0.114 : 0.0722,
                                input.Flag()};
  const AnyAtlas atlas(input);
  const Style style = {std::max<int64_t>(Length(input), 1), std::max<int64_t>(Length(input), 1),
                       Length(input), static_cast<int>(input.Integer(0, 255)),
                       static_cast<int>(input.Integer(0, 255))};
  const AnyObjects objects(input, height, width);
  const std::vector<uint8_t> colours = input.Bytes(3 * objects.count);

  const auto draw = [&](PixelLayout layout, const uint8_t* fill, const std::vector<uint8_t>& inks) {
    const Canvas canvas = {layout, height, width, {}, encoding};
    const auto drawn = [&] {
      Picture picture(canvas, gap, is_upside_down, fill);
      Annotate(picture.canvas, objects.With(inks), atlas.View(), style);
      return picture;
    };
    return OnEveryInstructionSet(
        drawn, [](const Picture& a, const Picture& b) { return a.planes == b.planes; });
  };

  const uint8_t fill[] = {100, 90, 30};  // No sample looks foreign.
  const Picture i420 = draw(PixelLayout::kI420, fill, colours);
  const Picture nv12 = draw(PixelLayout::kNv12, fill, colours);
  const Picture rgb = draw(PixelLayout::kRgb, fill, colours);
  FUZZ_CHECK(i420.Samples() == nv12.Samples());
  for (const Picture* picture : {&i420, &nv12, &rgb}) {
    const Picture before(picture->canvas, gap, is_upside_down, fill);
    for (size_t i = 0; i < before.planes.size(); ++i) {
      for (size_t k = 0; k < before.planes[i].size(); ++k) {
        if (before.planes[i][k] == kForeign) FUZZ_CHECK(picture->planes[i][k] == kForeign);
      }
    }
  }

  std::vector<uint8_t> one_colour;
  const std::vector<uint8_t> rgb_of_all = input.Bytes(3);
  for (int64_t i = 0; i < objects.count; ++i) {
    one_colour.insert(one_colour.end(), rgb_of_all.begin(), rgb_of_all.end());
  }
  for (PixelLayout layout : {PixelLayout::kRgb, PixelLayout::kI420, PixelLayout::kNv12}) {
    const Ink ink = MakeInk({layout, height, width, {}, encoding}, rgb_of_all.data());
    const Picture after = draw(layout, ink.samples, one_colour);
    FUZZ_CHECK(after.planes == Picture(after.canvas, gap, is_upside_down, ink.samples).planes);
  }
}

}  // namespace
}  // namespace roadmark

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  roadmark::FuzzInput input(data, size);
  roadmark::FuzzAnnotate(input);
  return 0;
}
