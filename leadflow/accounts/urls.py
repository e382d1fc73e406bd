"""Doors and the profile."""

from django.contrib.auth.views import LogoutView
from django.urls import path

from leadflow.accounts import views

app_name = "accounts"
urlpatterns = [
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("password/", views.PasswordChange.as_view(), name="password"),
    path("password/forgotten/", views.Forgotten.as_view(), name="forgotten"),
    path("password/forgotten/sent/", views.ForgottenSent.as_view(), name="forgotten_sent"),
    path("password/new/<uidb64>/<token>/", views.NewPassword.as_view(), name="new_password"),
    path("profile/", views.profile, name="profile"),
    path("profile/theme/", views.theme, name="theme"),
]
