"""The five stages, in the order in which they feed each other."""

from assets.benchmark_items import benchmark_items
from assets.gradient_spectra import gradient_spectra
from assets.report import report
from assets.responses import responses
from assets.spectral_statistics import spectral_statistics

STAGES = [benchmark_items, responses, gradient_spectra, spectral_statistics, report]
