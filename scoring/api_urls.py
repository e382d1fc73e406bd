"""The API's addresses of the agreement and its scores."""

from django.urls import path

from scoring import agreements_api, api

urlpatterns = [
    path("leads/<int:pk>/score/", api.Score.as_view(), name="lead_score"),
    path("agreements/", agreements_api.AgreementList.as_view(), name="agreements"),
    path("agreements/<int:pk>/", agreements_api.AgreementDetail.as_view(), name="agreement"),
    path("agreements/<int:pk>/propose/", agreements_api.AgreementPropose.as_view(), name="agreement_propose"),
    path("agreements/<int:pk>/sign/", agreements_api.AgreementSign.as_view(), name="agreement_sign"),
    path("agreements/<int:pk>/decline/", agreements_api.AgreementDecline.as_view(), name="agreement_decline"),
    path(
        "agreements/<int:pk>/withdraw/", agreements_api.AgreementWithdraw.as_view(), name="agreement_withdraw"
    ),
    path(
        "agreements/<int:pk>/backtest/", agreements_api.AgreementBacktest.as_view(), name="agreement_backtest"
    ),
    path("agreements/<int:pk>/preview/", agreements_api.AgreementPreview.as_view(), name="agreement_preview"),
]
