// Reads events from a CSV file, whose first line names its columns, and prints the outputs of a forest for each.
//
//     bit export forest.json --to cpp -o observable.hpp
//     g++ -std=c++17 -O2 example.cpp -o example && ./example events.csv

#include "observable.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream stream(line);
  for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
  return cells;
}

// Where each feature of the forest stands in the file, whatever the order of its columns.
std::vector<std::size_t> places_of_features(const std::vector<std::string>& columns) {
  std::vector<std::size_t> places;
  for (const char* name : observable::feature_names) {
    const auto found = std::find(columns.begin(), columns.end(), name);
    if (found == columns.end()) {
      std::cerr << "the file has no column " << name << '\n';
      std::exit(1);
    }
    places.push_back(static_cast<std::size_t>(found - columns.begin()));
  }
  return places;
}

}  // namespace

int main(int n_arguments, char** arguments) {
  if (n_arguments != 2) {
    std::cerr << "usage: example EVENTS.csv\n";
    return 2;
  }
  std::ifstream file(arguments[1]);
  std::string line;
  std::getline(file, line);
  const std::vector<std::size_t> places = places_of_features(cells_of(line));
  for (std::size_t k = 0; k < observable::n_outputs; ++k) {
    std::printf(k == 0 ? "%s" : ",%s", observable::output_names[k]);
  }
  std::printf("\n");
  while (std::getline(file, line)) {
    const std::vector<std::string> cells = cells_of(line);
    std::array<double, observable::n_features> x{};
    for (std::size_t f = 0; f < x.size(); ++f) {
      x[f] = std::strtod(cells.at(places[f]).c_str(), nullptr);  // "nan" and "inf" are numbers, too
    }
    const auto prediction = observable::evaluate(x.data());
    for (std::size_t k = 0; k < prediction.size(); ++k) {
      std::printf(k == 0 ? "%.17g" : ",%.17g", prediction[k]);
    }
    std::printf("\n");
  }
}
