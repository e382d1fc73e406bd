"""Addresses of the backtest; `scoring.urls` lists them."""

from django.urls import path

from scoring.backtesting import views

urlpatterns = [
    path("agreement/backtest/", views.page, name="backtest"),
    path("agreement/backtest/start/", views.start, name="backtest_start"),
    path("agreement/backtest/leads/", views.leads, name="backtest_leads"),
]
